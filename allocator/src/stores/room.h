/* room: how many blocks each bin of a cache may hold, and who gives way to whom.
 *
 * A bin's room grows as it proves useful, up to twofold at a time, and shrinks when it does not.
 * The rooms of a cache, in bytes, stay within the thread's share of the budget, but for the few
 * blocks that every bin in use may hold; the share is the budget less what others hold, at most the
 * budget divided by the threads that were active lately. Shared counters change once in a decay
 * period. Only the cache's thread calls these, or one that holds its cache suspended.
 */
#ifndef HAK_ROOM_H
#define HAK_ROOM_H

#include "stores/bins.h"

static inline size_t room_of(const struct cache *cache, unsigned cls) {
    return (size_t)(cache->bin[cls].end - cache->base[cls] + 1);
}

static inline size_t room_filled(const struct cache *cache, unsigned cls) {
    return (size_t)(bin_top(&cache->bin[cls]) - cache->base[cls] + 1);
}

/* The bin as one plain array base[0 .. filled), the head on top, for the slow paths; and back. */
static inline void bin_open(struct bin *bin) {
    void **top = bin_top(bin);
    *top = bin->head;
    bin_set_top(bin, top + 1);
}

static inline void bin_close(struct bin *bin) {
    void **top = bin_top(bin) - 1;
    bin->head = *top;
    bin_set_top(bin, top);
}

/* However many threads there are, each may cache this much: less, and every operation would be a
 * slow one. */
#define ROOM_SHARE_LEAST ((size_t)128 * KIB)

/* Bytes that all caches together may hold now: config.budget, or what suits the memory in use. */
size_t room_budget(void);

extern _Atomic size_t room_total;    /* bytes of room over all caches, as last reported */
extern _Atomic uint32_t room_active; /* threads that were active lately, at least 1 once any was */

/* Sets the thread's part of the budget, and tells the others how much room this cache has. */
void room_share(struct cache *cache);

/* Makes the bin hold at most `keep` blocks; the oldest go. */
void room_spill(struct cache *cache, unsigned cls, size_t keep);

/* Gives up every block and all room. */
void room_empty(struct cache *cache);

/* Lets the bin grow as far as the thread's share permits; where it does not, other bins give way
 * step by step. */
void room_grow(struct cache *cache, unsigned cls);

/* Once a decay period: bins that rested give half of what they hold back. */
void room_trim(struct cache *cache);

/* Blocks that a thread may keep of a class it only frees: a batch or two, for somebody else needs
 * them. */
size_t room_one_way(unsigned cls);

/* Takes the cache's room out of the total: its thread sleeps, and reports it again afterwards. */
void room_forget(struct cache *cache);

#endif
