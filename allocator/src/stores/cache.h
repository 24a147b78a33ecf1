/* cache: how a thread comes by its free blocks (bins.h) and parts with them.
 *
 * A bin's room grows as it proves useful and shrinks when it does not. The sum of all rooms, in
 * bytes, stays within the thread's share of a budget, but for two blocks that every bin in use may
 * hold; the budget is divided among the threads that were active lately (room.h). Nothing is
 * counted per operation.
 */
#ifndef HAK_CACHE_H
#define HAK_CACHE_H

#include "stores/bins.h"

void cache_init(void);

/* May allocate, so after all else is up; until then threads have no caches. */
void cache_init_threads(void);

/* ---- For idle.h ---- */

/* Numbers of caches there ever were, and the cache of one; NULL if no thread has it now. */
unsigned cache_count(void);
struct cache *cache_at(unsigned number);

/* The calling thread's, or NULL. */
struct cache *cache_own(void);

/* Takes all from the cache of a thread that ended without telling, and shelves it. */
void cache_bury(struct cache *cache);

/* malloc's slow path for class `cls`: a block, having refilled the bin; NULL if there is no memory.
 */
void *cache_refill(unsigned cls);

/* free's slow path for a block known to be of class `cls`: puts it into the bin, having made room.
 */
void cache_flush(unsigned cls, void *block);

/* malloc and free through the bin where there is something in it, else as above: for callers that
 * learned the class on their own (large blocks, routed frees). */
static inline void *cache_pop(unsigned cls) {
    void *block = bin_pop(&cache_here()->bin[cls]);
    return likely(block != NULL) ? block : cache_refill(cls);
}

static inline void cache_push(unsigned cls, void *block) {
    if (unlikely(!bin_push(&cache_here()->bin[cls], block))) {
        cache_flush(cls, block);
    }
}

/* Empties the calling thread's cache into the central stores. */
void cache_drain(void);

/* Counts the threads active in this decay period or the last; the budget is divided by it. */
void cache_count_active(void);

/* Gives the memory of caches back whose threads ended `age` decay periods ago. Returns bytes. */
size_t cache_purge(uint32_t age);

/* In the child of a fork, which holds CACHES: the threads of the other caches are no more. */
void cache_after_fork(void);

/* After it, with no lock held: the calling thread is another to the kernel. */
void cache_live_again(void);

/* In a child that starts afresh (fork.h): the same, and the thread's own blocks are kept only if
 * nobody can have been taking from them. */
void cache_forget(void);

struct cache_stats {
    uint64_t threads, active, share;
    uint64_t registry_lookups, leaked;
    uint64_t blocks[CLASS_COUNT], refills[CLASS_COUNT], flushes[CLASS_COUNT];
};
void cache_stats(struct cache_stats *out);

#endif
