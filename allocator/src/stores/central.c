#include "stores/central.h"
#include "base/lock.h"
#include "base/say.h"
#include "base/sizeclass.h"
#include "stores/dirty.h"
#include "stores/spans.h"

#include <string.h>

/* Bytes of blocks a store holds at most, and the most pointers: enough that threads which exchange
 * blocks meet here and not at the spans. */
#define STORE_BYTES (512 * KIB)
#define STORE_SLOTS 2048

/* Blocks shed at once: this runs on whatever stack the program has. */
#define SHED_BLOCKS 32

struct store {
    struct lock lock; /* CENTRAL */
    uint32_t count;
    uint32_t low;      /* least count since the last decay */
    uint32_t capacity; /* of slot[] */
    uint32_t asked;    /* takes since the last decay */
    _Atomic uint64_t taken, given;
    void **slot;
};

static struct store stores[CLASS_COUNT];

/* The arrays, end to end: those of neighbouring classes share pages. As many as it takes: what
 * nobody touches costs no memory, but mlockall and limits on addresses count it. */
#define SLOTS ((size_t)38 * 1024)
static void *slots[SLOTS];

static uint32_t capacity_of(unsigned cls) {
    size_t fit = STORE_BYTES / sizeclass[cls].size, least = (size_t)sizeclass[cls].slots * 2;
    fit = fit < least ? least : fit;
    return (uint32_t)(fit > STORE_SLOTS ? STORE_SLOTS : fit);
}

void central_init(void) {
    static const struct lock_family locks = {.name = "central",
                                             .first = &stores[CLASS_FIRST].lock,
                                             .stride = sizeof stores[0],
                                             .count = CLASS_COUNT - CLASS_FIRST,
                                             .number = sizeclass_size_of,
                                             .rank = RANK_CENTRAL};
    lock_init_family(&locks);
    size_t all = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        all += capacity_of(cls);
    }
    if (all > SLOTS) {
        say_die("the stores' arrays need more slots", NULL);
    }
}

/* Gives a store that is used for the first time its array. */
static COLD void place(unsigned cls) {
    void **slot = slots;
    for (unsigned before = CLASS_FIRST; before < cls; before++) {
        slot += capacity_of(before);
    }
    stores[cls].capacity = capacity_of(cls);
    stores[cls].slot = slot;
}

/* The class's store, whose lock is taken. */
static struct store *acquire(unsigned cls) {
    struct store *store = &stores[cls];
    lock_acquire(&store->lock);
    if (unlikely(store->slot == NULL)) {
        place(cls);
    }
    return store;
}

static void return_to_spans(unsigned cls, void *const *blocks, unsigned n) {
    spans_give(cls, blocks, n);
    dirty_bound();
}

/* Returns up to `most` of the longest-stored blocks to the spans. */
static void shed(unsigned cls, unsigned most) {
    void *blocks[SHED_BLOCKS];
    while (most > 0) {
        struct store *store = acquire(cls);
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
        return_to_spans(cls, blocks, n);
        most -= n;
    }
}

/* What was not missed since the last step: `low`. Half of it, so that it decays. Requires CENTRAL.
 */
static unsigned spare_of(struct store *store) {
    unsigned spare = (store->low + 1) / 2;
    store->low = store->count;
    return spare;
}

/* Stores that a call of central_grown looks at, so that no one waits for all. */
#define SHED_AT_ONCE 4

/* The class whose store comes next in this step of growth; CLASS_COUNT: it is done. Racy: a store
 * that is looked at twice parts with a quarter more. */
static _Atomic unsigned next_store = CLASS_COUNT;

void central_grown(size_t fresh) {
    unsigned from = atomic_load_explicit(&next_store, memory_order_relaxed);
    if (dirty_grown(fresh)) {
        from = CLASS_FIRST;
    } else if (likely(from == CLASS_COUNT)) {
        return;
    }
    unsigned end = from + SHED_AT_ONCE < CLASS_COUNT ? from + SHED_AT_ONCE : CLASS_COUNT;
    atomic_store_explicit(&next_store, end, memory_order_relaxed);
    for (unsigned cls = from; cls < end; cls++) {
        struct store *store = &stores[cls];
        lock_acquire(&store->lock);
        unsigned spare = spare_of(store);
        lock_release(&store->lock);
        shed(cls, spare);
    }
}

unsigned central_take(unsigned cls, void **out, unsigned n) {
    struct store *store = acquire(cls);
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
    size_t fresh;
    taken = spans_take(cls, out, n, &fresh);
    if (fresh != 0) {
        central_grown(fresh);
    }
    return taken;
}

void central_give(unsigned cls, void *const *blocks, unsigned n) {
    struct store *store = acquire(cls);
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
        return_to_spans(cls, blocks + kept, n - kept);
    }
}

void central_decay(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct store *store = &stores[cls];
        lock_acquire(&store->lock);
        unsigned spare = spare_of(store);
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

void central_forget(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        stores[cls].count = stores[cls].low = 0;
    }
}

void central_stats(unsigned cls, struct central_stats *out) {
    struct store *store = &stores[cls];
    lock_acquire(&store->lock);
    uint64_t given = atomic_load_explicit(&store->given, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&store->taken, memory_order_relaxed);
    unsigned stored = store->count;
    lock_release(&store->lock);
    /* What was cut later only adds: there are never fewer taken than given. */
    struct spans_stats spans;
    spans_stats(cls, &spans);
    *out = (struct central_stats){
        .taken = taken + spans.cut,
        .given = given,
        .stored = stored,
        .spans = spans.number,
        .purges = spans.purges,
    };
}
