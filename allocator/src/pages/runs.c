#include "pages/runs.h"
#include "pages/pagemap.h"

#include <string.h>

/* Lists 1..LENGTHS-1 hold runs of exactly that many granules, list 0 all longer ones. */
#define LENGTHS 256

/* Long runs looked at for a better fit than one at hand. */
#define LOOKS 32

struct run_lists {
    struct span *head[LENGTHS];
    uint64_t occupied[LENGTHS / 64]; /* bit i: head[i] is not NULL */
};

struct lock pages_lock;

static struct run_lists lists[SPAN_RAW + 1];    /* by state; none is used */
static struct span *oldest, *newest;            /* dirty runs by age */
static _Atomic uint64_t free_bytes, held_bytes; /* of the dirty and the clean ones */

void runs_init(void) {
    lock_init(&pages_lock, "pages", RANK_PAGES);
}

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
    struct run_lists *in = &lists[span->state];
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
    last->back = span->granules - 1;
    span->back = 0;
}

static void list_remove(struct span *span) {
    struct run_lists *in = &lists[span->state];
    size_t i = list_of(span->granules);
    *(span->prev != NULL ? &span->prev->next : &in->head[i]) = span->next;
    if (span->next != NULL) {
        span->next->prev = span->prev;
    }
    if (in->head[i] == NULL) {
        in->occupied[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
}

static void count(const struct span *span, uint64_t sign) {
    if (span->state != SPAN_RAW) {
        lock_bump(&free_bytes, sign * runs_bytes(span));
        lock_bump(&held_bytes, sign * span->held * GRANULE);
    }
}

/* Enters a run in the lists of its state. A dirty one takes its place by freed_at_ms: nearly always
 * the newest, and where it is not, a few steps from there. */
static void enter(struct span *span) {
    if (span->state != SPAN_RAW) {
        span->state = span->held != 0 ? SPAN_DIRTY : SPAN_CLEAN;
    }
    list_insert(span);
    count(span, 1);
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
    count(span, (uint64_t)-1);
    if (span->state == SPAN_DIRTY) {
        age_remove(span);
    }
}

static bool joins(const struct span *span, const struct span *neighbour) {
    return neighbour->state != SPAN_USED &&
           (neighbour->state == SPAN_RAW) == (span->state == SPAN_RAW);
}

/* `high` follows `low`, and both are in no list. */
static void join(struct span *low, const struct span *high) {
    if (high->held > low->held) {
        low->freed_at_ms = high->freed_at_ms;
    }
    low->granules += high->granules;
    low->held += high->held;
}

void runs_insert_joined(struct span *span) {
    struct span *before = span - 1, *after = span + span->granules;
    if (joins(span, before)) {
        before -= before->back;
        runs_take_out(before);
        join(before, span);
        span = before;
    }
    if (joins(span, after)) {
        runs_take_out(after);
        join(span, after);
    }
    enter(span);
}

static uint8_t *bytes_of(const struct span *span) {
    struct range *range = pagemap_range((void *)span->start);
    return range->class_of + ((span->start - range->base) >> GRANULE_SHIFT);
}

void runs_mark_held(struct span *span) {
    memset(bytes_of(span), CLASS_HELD, span->granules);
    span->held = span->granules;
}

void runs_mark_clean(struct span *span) {
    if (span->held != 0) {
        memset(bytes_of(span), CLASS_NONE, span->granules);
        span->held = 0;
    }
}

static uint32_t held_in(const uint8_t *bytes, size_t granules) {
    uint32_t held = 0;
    for (size_t i = 0; i < granules; i++) {
        held += bytes[i] == CLASS_HELD;
    }
    return held;
}

size_t runs_upper_part(const struct span *span, size_t end, size_t held) {
    const uint8_t *bytes = bytes_of(span);
    while (held > 0 && end > 0) {
        held -= bytes[--end] == CLASS_HELD;
    }
    return end;
}

bool runs_held_stretch(const struct span *span, size_t *from, size_t *end) {
    const uint8_t *bytes = bytes_of(span);
    while (*end > 0 && bytes[*end - 1] != CLASS_HELD) {
        --*end;
    }
    *from = *end;
    while (*from > 0 && bytes[*from - 1] == CLASS_HELD) {
        --*from;
    }
    return *from < *end;
}

struct span *runs_best_fit(enum span_state state, size_t granules) {
    struct run_lists *in = &lists[state];
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

/* The part from `granules` on, of which nobody knows yet. */
static struct span *part_from(struct span *span, size_t granules) {
    struct span *rest = span + granules;
    rest->start = span->start + granules * GRANULE;
    rest->granules = (uint32_t)(span->granules - granules);
    rest->state = span->state;
    rest->freed_at_ms = span->freed_at_ms;
    rest->held = span->held;
    if (span->held != 0 && span->held != span->granules) {
        bool lower = granules < rest->granules;
        uint32_t in = held_in(bytes_of(lower ? span : rest), lower ? granules : rest->granules);
        rest->held = lower ? span->held - in : in;
        span->held -= rest->held;
    } else if (span->held != 0) {
        rest->held = rest->granules;
        span->held = (uint32_t)granules;
    }
    span->granules = (uint32_t)granules;
    return rest;
}

void runs_split(struct span *span, size_t granules) {
    if (span->granules != granules) {
        enter(part_from(span, granules));
    }
}

struct span *runs_split_upper(struct span *span, size_t at) {
    if (at == 0) {
        return span;
    }
    struct span *upper = part_from(span, at);
    enter(span);
    return upper;
}

struct span *runs_cut(struct span *span, size_t granules) {
    const uint8_t *bytes = bytes_of(span);
    if (span->granules == granules || bytes[0] == CLASS_HELD ||
        bytes[span->granules - 1] != CLASS_HELD) {
        runs_split(span, granules);
        return span;
    }
    return runs_split_upper(span, span->granules - granules);
}

struct span *runs_oldest(void) {
    return oldest;
}

void runs_forget(void) {
    memset(lists, 0, sizeof lists);
    oldest = newest = NULL;
    atomic_store_explicit(&free_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&held_bytes, 0, memory_order_relaxed);
}

uint64_t runs_free_bytes(void) {
    return atomic_load_explicit(&free_bytes, memory_order_relaxed);
}

uint64_t runs_held_bytes(void) {
    return atomic_load_explicit(&held_bytes, memory_order_relaxed);
}
