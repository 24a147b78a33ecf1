/* bins: a thread's own free blocks, and where they lie: in a cache, which has a bin for each class.
 *
 * In a bin lies the block that goes out next (`head`), and below it a stack of pointers. The head
 * is kept apart so that malloc's result is one load away from its bin; the stack is an array, so no
 * block is touched, and one freed here and taken elsewhere costs no cache miss. With n blocks in
 * the bin, n == top - base + 1: the stack holds n - 1 pointers, and a NULL lies under the first.
 * `end` is where free must stop: the bin has room for end - base + 1 blocks. Bins of numbers that
 * are no class are empty and full at once: both fast paths fail there, and the slow ones sort it
 * out.
 *
 * Only its thread touches a cache, except: the list of all caches (lock CACHES), racy reads by the
 * statistics, and idle.h, which empties the caches of threads that sleep.
 */
#ifndef HAK_BINS_H
#define HAK_BINS_H

#include "base/life.h"
#include "base/lock.h"
#include "base/sizeclass.h"

#include <stdatomic.h>

struct bin {
    void *head;           /* NULL: empty */
    _Atomic(void **) top; /* where the head goes when another comes; atomic for the statistics */
    void **end;
    void *unused; /* 32 bytes: a bin is found by a shift */
};

static inline void **bin_top(const struct bin *bin) {
    return atomic_load_explicit(&bin->top, memory_order_relaxed);
}

/* Release: whoever takes blocks from a sleeping thread's bin sees what was done with them. */
static inline void bin_set_top(struct bin *bin, void **top) {
    atomic_store_explicit(&bin->top, top, memory_order_release);
}

/* The next block, or NULL. */
static inline __attribute__((always_inline)) void *bin_pop(struct bin *bin) {
    void *block = bin->head;
    if (likely(block != NULL)) {
        void **top = bin_top(bin) - 1;
        bin_set_top(bin, top);
        bin->head = *top;
    }
    return block;
}

/* False, and nothing has happened, if the bin is full, or if the block is its head already: the
 * head is at hand here, so a block freed twice in a row is found for one comparison. */
static inline __attribute__((always_inline)) bool bin_push(struct bin *bin, void *block) {
    void **top = bin_top(bin), *head = bin->head;
    if (likely(top != bin->end) && likely(head != block)) {
        *top = head;
        bin->head = block;
        /* It goes out next: have its line here, writable, by then. Where blocks change threads
         * that hides the one miss there is. */
        __builtin_prefetch(block, 1);
        bin_set_top(bin, top + 1);
        return true;
    }
    return false;
}

/* Blocks that a bin in use may hold whatever the budget says; of small ones, two cache lines: a
 * refill brings half of the room, and two threads that write to blocks of one line wait for each
 * other. */
#define BIN_LEAST ((size_t)2)
#define BIN_LEAST_BYTES ((size_t)128)

/* Blocks that it may hold before it proves useful: what its short stack (stack.h) holds. */
#define BIN_EARLY ((size_t)4)

static inline size_t bin_least(unsigned cls) {
    size_t lines = BIN_LEAST_BYTES / sizeclass[cls].size;
    return lines > BIN_LEAST ? lines : BIN_LEAST; /* every class has as many slots */
}

static inline size_t bin_early(unsigned cls) {
    size_t least = bin_least(cls);
    return least > BIN_EARLY ? least : BIN_EARLY;
}

struct cache {
    struct bin bin[CLASS_LIMIT]; /* all the fast path touches */
    struct place *place;         /* where it lies */
    bool prepared;               /* it is more than fresh memory */
    bool emptied;                /* since it was suspended; CACHES */
    _Atomic bool suspended; /* its thread's next operation must come through `resume`; CACHES */
    _Atomic bool slow;      /* its thread is in a slow path */
    struct cache *_Atomic *self; /* its thread's cache_self, or NULL: nobody's to suspend; CACHES */
    struct life life;            /* its thread's, from before `self` is set until after */
    uint64_t turn;               /* the number of its suspension; CACHES */
    uint32_t victim;             /* class whose idle room is looked at next */
    uint32_t tick;               /* the decay period in which the cache was last trimmed */
    uint32_t steps;              /* and how many steps of growth there were then */
    _Atomic uint32_t active;     /* the decay period of the last slow path */
    _Atomic size_t room_bytes;   /* sum over classes of room x size */
    size_t share_bytes;          /* what room_bytes may become */
    size_t budget_bytes;         /* the budget of which that is a part */
    size_t reported_bytes;       /* what the sum over all caches contains of room_bytes */
    _Atomic uint64_t refills[CLASS_COUNT], flushes[CLASS_COUNT];
    _Atomic uint64_t registry_lookups, leaked;
    uint32_t events[CLASS_COUNT]; /* slow paths of this bin since the last trim */
    uint8_t drawn[CLASS_COUNT];   /* 1: malloc needed a refill since the last trim */
    uint8_t wide[CLASS_COUNT];    /* 1: the bin's stack is its long one; CACHES */
    void **base[CLASS_COUNT];     /* of the stack; CACHES */
    void **long_stacks;           /* of all bins, a mapping of its own; NULL before the first */
    void *short_stacks[];         /* of all bins */
};

/* The calling thread's cache. Before the first slow path, while it is suspended, and after the
 * thread's destructors ran, it is a constant one whose bins are all empty and full. NULL only
 * before the loader has filled in the first thread's storage (an ifunc resolver allocates): until
 * then the fast paths are closed (fast.h), and slow ones ask cache_here. */
extern _Thread_local struct cache *_Atomic cache_self __attribute__((tls_model("initial-exec")));

static inline struct cache *cache_now(void) {
    return atomic_load_explicit(&cache_self, memory_order_relaxed);
}

/* Stand in for the cache of a thread that has none yet, or none any more, or a suspended one. */
extern HIDDEN struct cache cache_none, cache_gone, cache_suspended;

static inline struct cache *cache_here(void) {
    struct cache *cache = cache_now();
    return likely(cache != NULL) ? cache : &cache_none;
}

/* A bin of this thread's. The empty statement hides how the address came about: else gcc computes
 * it anew for every field. */
static inline __attribute__((always_inline)) struct bin *cache_bin(unsigned number) {
    struct bin *bin = &cache_now()->bin[number];
    __asm__("" : "+r"(bin));
    return bin;
}

extern HIDDEN struct lock cache_lock; /* CACHES */

/* Names the lock. */
void bins_init(void);

#endif
