#include "central.h"
#include "config.h"
#include "dirty.h"
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

/* A class's spans with free blocks are in lists by the eighths of them that are free, and blocks
 * are taken from the fullest. In the last of these lists, from bare() on, whole pages may be free;
 * RESTED are the spans as bare whose free pages were purged and that have hardly a block back
 * since. A span is in the list span->listed - 1, or AWAY: being purged, with no lock held. */
enum { RESTED = 8, LISTS, AWAY };

/* More than half free; of blocks shorter than a page three quarters, for before that hardly a page
 * is, and a span that is still being emptied would be purged again and again. */
static unsigned bare(unsigned cls) {
    return sizeclass[cls].size < PAGE ? 6 : 4;
}

/* Blocks shed at once: this runs on whatever stack the program has. */
#define SHED_BLOCKS 32

/* Spans too young to be purged that a step of central_purge looks at in a list. */
#define PURGE_LOOKS 64

struct store {
    struct lock lock; /* CENTRAL: all down to given, and slot[] */
    uint32_t count;
    uint32_t low;      /* least count since the last decay */
    uint32_t capacity; /* of slot[] */
    uint32_t asked;    /* takes since the last decay */
    _Atomic uint64_t taken, given;
    struct lock spans_lock; /* SPANS: all down to slot, and bits of the class's spans */
    struct span *first[LISTS], *last[LISTS]; /* spans with at least one free block */
    _Atomic uint64_t spans, cut;     /* spans of this class; blocks taken from them directly */
    _Atomic uint64_t purges;         /* calls made for their free pages */
    _Atomic uint64_t bare;           /* bytes held by free blocks of the bare ones */
    uint64_t hollow;                 /* bytes of free blocks of those and the rested */
    uint64_t told_bare, told_hollow; /* what the sums over all classes contain of the two */
    void **slot;
};

static struct store stores[CLASS_COUNT];
static _Atomic uint64_t bare_bytes, hollow_bytes; /* over all classes */

/* The arrays, end to end: those of neighbouring classes share pages. As many as it takes: what
 * nobody touches costs no memory, but mlockall and limits on addresses count it. */
#define SLOTS ((size_t)38 * 1024)
static void *slots[SLOTS];

void central_init(void) {
    void **next = slots;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        size_t fit = STORE_BYTES / sizeclass[cls].size;
        size_t least = (size_t)sizeclass[cls].slots * 2;
        fit = fit < least ? least : fit;
        stores[cls].capacity = (uint32_t)(fit > STORE_SLOTS ? STORE_SLOTS : fit);
        stores[cls].slot = next;
        next += stores[cls].capacity;
        if (next > slots + SLOTS) {
            os_die("the stores' arrays need more slots", NULL);
        }
        lock_init(&stores[cls].lock, "central", (int)sizeclass[cls].size, RANK_CENTRAL);
    }
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        lock_init(&stores[cls].spans_lock, "spans", (int)sizeclass[cls].size, RANK_SPANS);
    }
}

static unsigned list_for(const struct span *span) {
    unsigned blocks = sizeclass[span->cls].blocks;
    unsigned eighth = span->free * 8u / (blocks + 1u);
    return eighth >= bare(span->cls) && span->held * 4 <= blocks ? RESTED : eighth;
}

/* Counts what a span's free blocks hold, or no longer, as long as its list says that it counts. */
static void count(struct store *store, const struct span *span, uint64_t sign) {
    unsigned list = span->listed - 1u;
    if (list >= bare(span->cls) && list < LISTS) {
        uint64_t size = sizeclass[span->cls].size;
        store->hollow += sign * span->free * size;
        if (list < RESTED) {
            lock_bump(&store->bare, sign * span->held * size);
        }
    }
}

static void list_insert(struct store *store, struct span *span) {
    unsigned list = list_for(span);
    span->prev = NULL;
    span->next = store->first[list];
    *(span->next != NULL ? &span->next->prev : &store->last[list]) = span;
    store->first[list] = span;
    span->listed = (uint8_t)(list + 1);
}

static void list_remove(struct store *store, struct span *span) {
    unsigned list = span->listed - 1u;
    *(span->prev != NULL ? &span->prev->next : &store->first[list]) = span->next;
    *(span->next != NULL ? &span->next->prev : &store->last[list]) = span->prev;
    span->listed = 0;
}

/* A span's blocks came or went: where it belongs now. `count` had been told before. */
static void place(struct store *store, struct span *span) {
    if (span->listed - 1u != list_for(span)) {
        if (span->listed) {
            list_remove(store, span);
        }
        list_insert(store, span);
    }
    count(store, span, 1);
}

/* Releases SPANS, having told the sums what changed. */
static void release_spans(struct store *store) {
    uint64_t held = atomic_load_explicit(&store->bare, memory_order_relaxed) - store->told_bare;
    uint64_t hollow = store->hollow - store->told_hollow;
    store->told_bare += held;
    store->told_hollow += hollow;
    lock_release(&store->spans_lock);
    if (held != 0 || hollow != 0) {
        atomic_fetch_add_explicit(&bare_bytes, held, memory_order_relaxed);
        atomic_fetch_add_explicit(&hollow_bytes, hollow, memory_order_relaxed);
    }
}

static struct span *fullest(const struct store *store) {
    for (unsigned list = 0; list < LISTS; list++) {
        if (store->first[list] != NULL) {
            return store->first[list];
        }
    }
    return NULL;
}

/* Blocks of the spans at hand. */
static unsigned take_from_spans(struct store *store, void **out, unsigned n) {
    unsigned taken = 0;
    lock_acquire(&store->spans_lock);
    struct span *span;
    while (taken < n && (span = fullest(store)) != NULL) {
        count(store, span, (uint64_t)-1);
        taken += span_take(span, out + taken, n - taken);
        if (span->free == 0) {
            list_remove(store, span);
        } else {
            place(store, span);
        }
    }
    lock_bump(&store->cut, taken);
    release_spans(store);
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
    span->held = zero ? 0 : span->held;
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
        place(store, span);
    }
    release_spans(store);
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

/* A span with no block out is no longer one of its class. Requires SPANS. */
static void disown(struct store *store, struct span *span) {
    if (span->listed != 0) {
        list_remove(store, span);
    }
    lock_bump(&store->spans, (uint64_t)-1);
}

/* Returns blocks to their spans, and empty spans to the page heap. What is from before a fork that
 * nobody announced has no span any more. */
static void give_to_spans(unsigned cls, struct store *store, void *const *blocks, unsigned n) {
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
        bool ours = span->cls == cls;
        if (ours) {
            count(store, span, (uint64_t)-1);
        }
        unsigned put = ours ? span_put(span, blocks + i, n - i) : 0;
        if (put == 0) {
            bad = blocks[i];
            break;
        }
        i += put;
        span->freed_at_ms = now;
        if (span->listed == AWAY) {
            continue; /* whoever purges it looks at what came back */
        }
        if (span->free == sizeclass[cls].blocks) {
            disown(store, span);
            span->next = empty;
            empty = span;
        } else {
            place(store, span);
        }
    }
    release_spans(store);
    if (bad != NULL) {
        os_die("free(): invalid pointer or double free", bad);
    }
    while (empty != NULL) {
        struct span *span = empty;
        empty = span->next;
        route_leave(span, cls);
        pages_give(span);
    }
    dirty_bound();
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
        give_to_spans(cls, store, blocks + kept, n - kept);
    }
}

/* Returns up to `most` of the longest-stored blocks to the spans. */
static void shed(unsigned cls, unsigned most) {
    struct store *store = &stores[cls];
    void *blocks[SHED_BLOCKS];
    while (most > 0) {
        lock_acquire(&store->lock);
        unsigned n = most < SHED_BLOCKS ? most : SHED_BLOCKS;
        n = n < store->count ? n : store->count;
        memcpy(blocks, store->slot, n * sizeof *blocks);
        store->count -= n;
        memmove(store->slot, store->slot + n, store->count * sizeof *blocks);
        store->low = store->count;
        lock_release(&store->lock);
        if (n == 0) {
            return;
        }
        give_to_spans(cls, store, blocks, n);
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

static bool purgeable(unsigned cls) {
    return sizeclass[cls].blocks > 1 && !config.check;
}

/* Purges the pages under a span's free blocks. While it is AWAY nobody takes any. Requires SPANS,
 * which is dropped meanwhile and afterwards. Returns bytes. */
static size_t purge_span(unsigned cls, struct store *store, struct span *span) {
    size_t purged = 0, from = 0, to;
    uint64_t calls = 0;
    count(store, span, (uint64_t)-1);
    list_remove(store, span);
    span->listed = AWAY;
    span->held = 0;
    while (span_free_pages(span, &from, &to)) {
        release_spans(store);
        purged += os_purge((void *)(span->start + from), to - from) ? to - from : 0;
        calls++;
        lock_acquire(&store->spans_lock);
        from = to;
    }
    lock_bump(&store->purges, calls);
    span->listed = 0;
    bool empty = span->free == sizeclass[cls].blocks;
    if (empty) {
        disown(store, span);
    } else {
        place(store, span);
    }
    release_spans(store);
    if (empty) {
        route_leave(span, cls);
        pages_give(span);
    }
    return purged;
}

/* The spans of one list that have had a block back last age_ms before now_ms; of the others, the
 * first few go to the list's other end. */
static size_t purge_list(unsigned cls, unsigned list, uint64_t now_ms, uint64_t age_ms) {
    struct store *store = &stores[cls];
    size_t total = 0;
    for (int young = 0; young < PURGE_LOOKS;) {
        lock_acquire(&store->spans_lock);
        struct span *span = store->last[list];
        if (span == NULL) {
            lock_release(&store->spans_lock);
            break;
        }
        if (os_aged(span->freed_at_ms, now_ms, age_ms)) {
            total += purge_span(cls, store, span);
            continue;
        }
        list_remove(store, span);
        list_insert(store, span);
        lock_release(&store->spans_lock);
        young++;
    }
    return total;
}

size_t central_purge(uint64_t now_ms, uint64_t age_ms) {
    size_t total = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        for (unsigned list = bare(cls); list < RESTED && purgeable(cls); list++) {
            total += purge_list(cls, list, now_ms, age_ms);
        }
    }
    return total;
}

/* Every span of one list that holds something, once around. */
static size_t trim_list(unsigned cls, unsigned list) {
    struct store *store = &stores[cls];
    struct span *first = NULL;
    size_t total = 0;
    uint64_t most = atomic_load_explicit(&store->spans, memory_order_relaxed);
    for (uint64_t i = 0; i < most; i++) {
        lock_acquire(&store->spans_lock);
        struct span *span = store->last[list];
        if (span == NULL || span == first) {
            lock_release(&store->spans_lock);
            break;
        }
        first = first != NULL ? first : span;
        if (span->held != 0) {
            total += purge_span(cls, store, span);
            continue;
        }
        list_remove(store, span);
        list_insert(store, span);
        lock_release(&store->spans_lock);
    }
    return total;
}

size_t central_trim(void) {
    size_t total = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        for (unsigned list = LISTS; list-- > 0 && purgeable(cls);) {
            total += trim_list(cls, list);
        }
    }
    return total;
}

uint64_t central_bare_bytes(void) {
    return atomic_load_explicit(&bare_bytes, memory_order_relaxed);
}

uint64_t central_hollow_bytes(void) {
    return atomic_load_explicit(&hollow_bytes, memory_order_relaxed);
}

size_t central_purge_barest(void) {
    unsigned cls = CLASS_NONE;
    uint64_t most = 0;
    for (unsigned i = CLASS_FIRST; i < CLASS_COUNT; i++) {
        uint64_t held = atomic_load_explicit(&stores[i].bare, memory_order_relaxed);
        if (held > most && purgeable(i)) {
            most = held;
            cls = i;
        }
    }
    if (cls == CLASS_NONE) {
        return 0;
    }
    struct store *store = &stores[cls];
    lock_acquire(&store->spans_lock);
    for (unsigned list = RESTED; list-- > bare(cls);) {
        struct span *span = store->last[list];
        if (span != NULL) {
            size_t held = span->held * (size_t)sizeclass[cls].size;
            purge_span(cls, store, span);
            return held;
        }
    }
    lock_release(&store->spans_lock);
    return 0;
}

void central_forget(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct store *store = &stores[cls];
        store->count = store->low = 0;
        for (int i = 0; i < LISTS; i++) {
            store->first[i] = store->last[i] = NULL;
        }
        store->hollow = store->told_bare = store->told_hollow = 0;
        atomic_store_explicit(&store->bare, 0, memory_order_relaxed);
        atomic_store_explicit(&store->spans, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&bare_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&hollow_bytes, 0, memory_order_relaxed);
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
        .purges = atomic_load_explicit(&store->purges, memory_order_relaxed),
    };
    lock_release(&store->lock);
}
