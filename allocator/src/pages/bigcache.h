/* bigcache: freed huge mappings, kept for reuse.
 *
 * Keyed by size: a mapping's bytes are always a multiple of an eighth of their doubling, so that
 * blocks of about one size hit. Bounded by config.bigcache bytes and BIGCACHE_SLOTS mappings, the
 * oldest leaving first; what lies longer than config.decay_ms leaves too.
 *
 * Lock: BIGCACHE; mappings are made and ended outside it.
 */
#ifndef HAK_BIGCACHE_H
#define HAK_BIGCACHE_H

#include "base/base.h"

#define BIGCACHE_SLOTS 64

void bigcache_init(void);

/* `size` rounded up to what a mapping of it would have (at most 12.5 % more, never touched). Wraps
 * below `size` if it does not fit. */
size_t bigcache_round(size_t size);

/* A cached mapping of at least `bytes` and at most an eighth more, or NULL. *got is its length. Its
 * contents are whatever its last owner left. */
void *bigcache_take(size_t bytes, size_t alignment, size_t *got);

/* Takes a mapping that nobody uses any more: keeps it, or ends it. */
void bigcache_give(void *mapping, size_t bytes);

/* Ends what has been here too long; returns the bytes. now_ms of UINT64_MAX: everything. */
size_t bigcache_decay(uint64_t now_ms);

/* In a child that starts afresh (fork.h): empty. */
void bigcache_forget(void);

/* Whether anything rests, and since when the oldest; ends that, and returns its bytes. */
bool bigcache_oldest(uint64_t *since_ms);
size_t bigcache_end_oldest(void);

/* Bytes resting. A racy read. */
uint64_t bigcache_bytes(void);

struct bigcache_stats {
    uint64_t hits, misses, bytes;
};
void bigcache_stats(struct bigcache_stats *out);

#endif
