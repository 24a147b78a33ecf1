#include "central.h"
#include "config.h"
#include "os.h"
#include "pagemap.h"
#include "pages.h"
#include "route.h"

#include <string.h>

/* Bytes of blocks a store holds at most, and the most pointers: enough that threads which exchange
 * blocks meet here and not at the spans. */
#define STORE_BYTES (512 * KIB)
#define STORE_SLOTS 2048

/* Blocks of at most two pages lie dense: whatever a program touches of them, it touches their
 * pages. */
#define DENSE_MAX ((size_t)4096)

/* Blocks are taken from full pages first. A span is in the list span->listed - 1. */
enum { FULL, BARE, LISTS };

/* Spans looked at, and blocks lent from one, in a step of central_purge. */
#define PURGE_LOOKS 256
#define PURGE_BLOCKS 512

/* Spans of a class purged in one decay period. */
#define PURGE_SPANS 64

struct store {
    struct lock lock; /* CENTRAL: all down to given, and slot[] */
    uint32_t count;
    uint32_t low;      /* least count since the last decay */
    uint32_t capacity; /* of slot[] */
    uint32_t asked;    /* takes since the last decay */
    _Atomic uint64_t taken, given;
    struct lock spans_lock;      /* SPANS: list, and bits of the class's spans */
    struct span *list[LISTS];    /* spans with at least one free block */
    _Atomic uint64_t spans, cut; /* spans of this class; blocks taken from them directly */
    void **slot;
};

static struct store stores[CLASS_COUNT];

/* The arrays, end to end: those of neighbouring classes share pages. */
static void *slots[CLASS_COUNT * STORE_SLOTS];

void central_init(void) {
    void **next = slots;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        size_t fit = STORE_BYTES / sizeclass[cls].size;
        size_t least = (size_t)sizeclass[cls].slots * 2;
        fit = fit < least ? least : fit;
        stores[cls].capacity = (uint32_t)(fit > STORE_SLOTS ? STORE_SLOTS : fit);
        stores[cls].slot = next;
        next += stores[cls].capacity;
        lock_init(&stores[cls].lock, "central", (int)sizeclass[cls].size, RANK_CENTRAL);
    }
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        lock_init(&stores[cls].spans_lock, "spans", (int)sizeclass[cls].size, RANK_SPANS);
    }
}

static void list_insert(struct store *store, struct span *span, int which) {
    span->prev = NULL;
    span->next = store->list[which];
    if (span->next != NULL) {
        span->next->prev = span;
    }
    store->list[which] = span;
    span->listed = (uint8_t)(which + 1);
}

static void list_remove(struct store *store, struct span *span) {
    *(span->prev != NULL ? &span->prev->next : &store->list[span->listed - 1]) = span->next;
    if (span->next != NULL) {
        span->next->prev = span->prev;
    }
    span->listed = 0;
}

/* Blocks of the spans at hand. */
static unsigned take_from_spans(struct store *store, void **out, unsigned n) {
    unsigned taken = 0;
    lock_acquire(&store->spans_lock);
    struct span *span;
    while (taken < n && (span = store->list[FULL] ? store->list[FULL] : store->list[BARE])) {
        taken += span_take(span, out + taken, n - taken);
        if (span->free == 0) {
            list_remove(store, span);
        }
    }
    lock_bump(&store->cut, taken);
    lock_release(&store->spans_lock);
    return taken;
}

/* Blocks of a new span. Everything that can fault or fail happens before the lock is taken. */
static unsigned take_from_new_span(unsigned cls, struct store *store, void **out, unsigned n) {
    bool zero;
    enum run_kind kind = sizeclass[cls].size <= DENSE_MAX ? RUN_DENSE : RUN_SPARSE;
    struct span *span = pages_take(sizeclass[cls].granules, 1, kind, &zero);
    if (span == NULL) {
        return 0;
    }
    span_cut(span, cls);
    span->freed_at_ms = os_coarse_ms();
    if (!route_enter(span, cls)) {
        pages_give(span);
        return 0;
    }
    unsigned taken = span_take(span, out, n);
    lock_acquire(&store->spans_lock);
    lock_bump(&store->spans, 1);
    lock_bump(&store->cut, taken);
    if (span->free != 0) {
        list_insert(store, span, FULL);
    }
    lock_release(&store->spans_lock);
    return taken;
}

unsigned central_take(unsigned cls, void **out, unsigned n) {
    struct store *store = &stores[cls];
    lock_acquire(&store->lock);
    unsigned taken = store->count < n ? store->count : n;
    store->count -= taken;
    store->asked++;
    memcpy(out, &store->slot[store->count], taken * sizeof *out);
    if (store->count < store->low) {
        store->low = store->count;
    }
    lock_bump(&store->taken, taken);
    lock_release(&store->lock);
    if (taken != 0) {
        return taken;
    }
    taken = take_from_spans(store, out, n);
    if (taken == 0) {
        taken = take_from_new_span(cls, store, out, n);
    }
    return taken;
}

/* Returns blocks to their spans, which go to list `which`, and empty spans to the page heap. What
 * is from before a fork that nobody announced has no span any more. */
static void give_to_spans(unsigned cls, struct store *store, void *const *blocks, unsigned n,
                          int which) {
    struct span *empty = NULL;
    void *bad = NULL;
    uint64_t now = os_coarse_ms();
    lock_acquire(&store->spans_lock);
    for (unsigned i = 0; i < n;) {
        if (pagemap_is_forgotten(blocks[i])) {
            i++;
            continue;
        }
        struct span *span = pagemap_span(blocks[i]);
        unsigned put = span->cls == cls ? span_put(span, blocks + i, n - i) : 0;
        if (put == 0) {
            bad = blocks[i];
            break;
        }
        i += put;
        /* One that got blocks while it was being purged stays where those are. */
        if (!span->listed || span->listed - 1 > which) {
            if (span->listed) {
                list_remove(store, span);
            }
            list_insert(store, span, which);
        }
        span->freed_at_ms = now;
        if (span->free == sizeclass[cls].blocks) {
            list_remove(store, span);
            lock_bump(&store->spans, (uint64_t)-1);
            span->next = empty;
            empty = span;
        }
    }
    lock_release(&store->spans_lock);
    if (bad != NULL) {
        os_die("free(): invalid pointer or double free", bad);
    }
    while (empty != NULL) {
        struct span *span = empty;
        empty = span->next;
        route_leave(span, cls);
        pages_give(span);
    }
}

void central_give(unsigned cls, void *const *blocks, unsigned n) {
    struct store *store = &stores[cls];
    lock_acquire(&store->lock);
    unsigned room = store->capacity - store->count;
    if (sizeclass[cls].size > SIZECLASS_KEEP_ABOVE && store->asked < SIZECLASS_KEEP_AFTER) {
        room = 0;
    }
    unsigned kept = n < room ? n : room;
    memcpy(&store->slot[store->count], blocks, kept * sizeof *blocks);
    store->count += kept;
    lock_bump(&store->given, n);
    lock_release(&store->lock);
    if (kept < n) {
        give_to_spans(cls, store, blocks + kept, n - kept, FULL);
    }
}

/* Returns up to `most` of the longest-stored blocks to the spans. */
static void shed(unsigned cls, unsigned most) {
    struct store *store = &stores[cls];
    void *blocks[64];
    while (most > 0) {
        lock_acquire(&store->lock);
        unsigned n = most < 64 ? most : 64;
        n = n < store->count ? n : store->count;
        memcpy(blocks, store->slot, n * sizeof *blocks);
        store->count -= n;
        memmove(store->slot, store->slot + n, store->count * sizeof *blocks);
        store->low = store->count;
        lock_release(&store->lock);
        if (n == 0) {
            return;
        }
        give_to_spans(cls, store, blocks, n, FULL);
        most -= n;
    }
}

void central_decay(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct store *store = &stores[cls];
        lock_acquire(&store->lock);
        /* Never below `low`: so many were not missed. Half of them, so that it decays. */
        unsigned spare = (store->low + 1) / 2;
        store->low = store->count;
        store->asked = 0;
        lock_release(&store->lock);
        shed(cls, spare);
    }
}

void central_drain(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        shed(cls, STORE_SLOTS);
    }
}

/* A span of the first list that has had more than half of its blocks back for `age_ms`, off the
 * list, with its free blocks lent to out[]; NULL if there is none. Requires SPANS. */
static struct span *borrow(struct store *store, unsigned cls, uint64_t now, uint64_t age_ms,
                           void **out, unsigned *n) {
    int looks = 0;
    for (struct span *span = store->list[FULL]; span != NULL && looks < PURGE_LOOKS;
         span = span->next, looks++) {
        if (span->free > sizeclass[cls].blocks / 2 &&
            (age_ms == 0 || os_aged(span->freed_at_ms, now, age_ms))) {
            list_remove(store, span);
            *n = span_take(span, out, PURGE_BLOCKS);
            return span;
        }
    }
    return NULL;
}

/* Purges the whole pages under blocks that lie side by side. `blocks` ascends. Returns bytes. */
static size_t purge_under(void *const *blocks, unsigned n, size_t size) {
    size_t purged = 0;
    for (unsigned i = 0, next; i < n; i = next) {
        uintptr_t from = align_up((uintptr_t)blocks[i], PAGE);
        for (next = i + 1; next < n && (char *)blocks[next] == (char *)blocks[next - 1] + size;) {
            next++;
        }
        uintptr_t to = ((uintptr_t)blocks[next - 1] + size) & ~(PAGE - 1);
        if (from < to && os_purge((void *)from, to - from)) {
            purged += to - from;
        }
    }
    return purged;
}

size_t central_purge(uint64_t now_ms, uint64_t age_ms) {
    void *blocks[PURGE_BLOCKS];
    size_t total = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct store *store = &stores[cls];
        if (sizeclass[cls].blocks > PURGE_BLOCKS || sizeclass[cls].blocks == 1 || config.check) {
            continue;
        }
        uint64_t most = atomic_load_explicit(&store->spans, memory_order_relaxed);
        most = age_ms != 0 && most > PURGE_SPANS ? PURGE_SPANS : most;
        for (uint64_t i = 0; i < most; i++) {
            unsigned n = 0;
            lock_acquire(&store->spans_lock);
            struct span *span = borrow(store, cls, now_ms, age_ms, blocks, &n);
            lock_release(&store->spans_lock);
            if (span == NULL) {
                break;
            }
            total += purge_under(blocks, n, sizeclass[cls].size);
            give_to_spans(cls, store, blocks, n, BARE);
        }
    }
    return total;
}

void central_forget(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct store *store = &stores[cls];
        store->count = store->low = 0;
        for (int i = 0; i < LISTS; i++) {
            store->list[i] = NULL;
        }
        atomic_store_explicit(&store->spans, 0, memory_order_relaxed);
    }
}

void central_stats(unsigned cls, struct central_stats *out) {
    struct store *store = &stores[cls];
    lock_acquire(&store->lock);
    *out = (struct central_stats){
        .taken = atomic_load_explicit(&store->taken, memory_order_relaxed) +
                 atomic_load_explicit(&store->cut, memory_order_relaxed),
        .given = atomic_load_explicit(&store->given, memory_order_relaxed),
        .stored = store->count,
        .spans = atomic_load_explicit(&store->spans, memory_order_relaxed),
    };
    lock_release(&store->lock);
}
