#include "runs.h"
#include "lock.h"

#include <string.h>

/* Lists 1..LENGTHS-1 hold runs of exactly that many granules, list 0 all longer ones. */
#define LENGTHS 256

/* Long runs looked at for a better fit than one at hand. */
#define LOOKS 32

struct run_lists {
    struct span *head[LENGTHS];
    uint64_t occupied[LENGTHS / 64]; /* bit i: head[i] is not NULL */
};

static struct run_lists lists[RUN_KINDS][SPAN_RAW + 1]; /* by kind and state; none is used */
static struct span *oldest, *newest;                    /* dirty runs by age */
static _Atomic uint64_t free_bytes[SPAN_RAW + 1];       /* by state */

static size_t list_of(size_t granules) {
    return granules < LENGTHS ? granules : 0;
}

static void age_insert_after(struct span *span, struct span *before) {
    span->older = before;
    span->newer = before != NULL ? before->newer : oldest;
    *(before != NULL ? &before->newer : &oldest) = span;
    *(span->newer != NULL ? &span->newer->older : &newest) = span;
}

static void age_remove(struct span *span) {
    *(span->older != NULL ? &span->older->newer : &oldest) = span->newer;
    *(span->newer != NULL ? &span->newer->older : &newest) = span->older;
}

static void list_insert(struct span *span) {
    struct run_lists *in = &lists[span->kind][span->state];
    size_t i = list_of(span->granules);
    span->prev = NULL;
    span->next = in->head[i];
    if (span->next != NULL) {
        span->next->prev = span;
    }
    in->head[i] = span;
    in->occupied[i / 64] |= (uint64_t)1 << (i % 64);
    /* The last granule tells a neighbour where this run begins. */
    struct span *last = span + span->granules - 1;
    last->state = span->state;
    last->kind = span->kind;
    last->back = span->granules - 1;
    span->back = 0;
}

static void list_remove(struct span *span) {
    struct run_lists *in = &lists[span->kind][span->state];
    size_t i = list_of(span->granules);
    *(span->prev != NULL ? &span->prev->next : &in->head[i]) = span->next;
    if (span->next != NULL) {
        span->next->prev = span->prev;
    }
    if (in->head[i] == NULL) {
        in->occupied[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
}

/* Enters a run in the lists of its state. A dirty one takes its place by freed_at_ms: nearly always
 * the newest, and where it is not, a few steps from there. */
static void enter(struct span *span) {
    list_insert(span);
    lock_bump(&free_bytes[span->state], runs_bytes(span));
    if (span->state == SPAN_DIRTY) {
        struct span *before = newest;
        for (int steps = 0; before != NULL && steps < 8 && before->freed_at_ms > span->freed_at_ms;
             steps++) {
            before = before->older;
        }
        age_insert_after(span, before);
    }
}

void runs_take_out(struct span *span) {
    list_remove(span);
    lock_bump(&free_bytes[span->state], -runs_bytes(span));
    if (span->state == SPAN_DIRTY) {
        age_remove(span);
    }
}

void runs_insert_joined(struct span *span) {
    struct span *before = span - 1, *after = span + span->granules;
    if (before->state == span->state && before->kind == span->kind) {
        before -= before->back;
        runs_take_out(before);
        if (before->granules < span->granules) {
            before->freed_at_ms = span->freed_at_ms;
        }
        before->granules += span->granules;
        span = before;
    }
    if (after->state == span->state && after->kind == span->kind) {
        runs_take_out(after);
        if (after->granules > span->granules) {
            span->freed_at_ms = after->freed_at_ms;
        }
        span->granules += after->granules;
    }
    enter(span);
}

struct span *runs_best_fit(enum run_kind kind, enum span_state state, size_t granules) {
    struct run_lists *in = &lists[kind][state];
    if (granules < LENGTHS) {
        size_t word = granules / 64;
        uint64_t bits = in->occupied[word] & (~(uint64_t)0 << (granules % 64));
        /* List 0 is not "length 0". */
        while (bits == 0 && ++word < LENGTHS / 64) {
            bits = in->occupied[word];
        }
        if (bits != 0) {
            return in->head[word * 64 + (size_t)__builtin_ctzll(bits)];
        }
    }
    /* Runs of 16 MiB and more: the first that fits will do once the list has been looked at. */
    struct span *best = NULL;
    int looks = 0;
    for (struct span *span = in->head[0]; span != NULL && (best == NULL || looks < LOOKS);
         span = span->next, looks++) {
        if (span->granules >= granules && (best == NULL || span->granules < best->granules)) {
            best = span;
        }
    }
    return best;
}

void runs_mark_used(struct span *span) {
    /* Only short spans are cut into blocks, and only there does an inner granule matter. */
    uint32_t step = span->granules <= 16 ? 1 : span->granules - 1;
    for (uint32_t i = 0; i < span->granules; i += step) {
        span[i].back = i;
        span[i].state = SPAN_USED;
    }
}

void runs_split(struct span *span, size_t granules) {
    if (span->granules == granules) {
        return;
    }
    struct span *rest = span + granules;
    rest->start = span->start + granules * GRANULE;
    rest->granules = (uint32_t)(span->granules - granules);
    rest->state = span->state;
    rest->kind = span->kind;
    rest->freed_at_ms = span->freed_at_ms;
    span->granules = (uint32_t)granules;
    enter(rest);
}

struct span *runs_oldest(void) {
    return oldest;
}

void runs_forget(void) {
    memset(lists, 0, sizeof lists);
    oldest = newest = NULL;
    for (int state = 0; state <= SPAN_RAW; state++) {
        atomic_store_explicit(&free_bytes[state], 0, memory_order_relaxed);
    }
}

uint64_t runs_free_bytes(enum span_state state) {
    return atomic_load_explicit(&free_bytes[state], memory_order_relaxed);
}
