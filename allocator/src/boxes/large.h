/* large: blocks above SMALL_MAX that are not huge.
 *
 * Up to LARGE_MAX they have size classes and pass through the thread's cache like small ones (the
 * Pool to POOL_MAX, L2.5 above); beyond, a block is a run of its own from the page heap, and what
 * is here is for those.
 */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "base/base.h"

/* A run as one block, aligned to `alignment`. NULL if there is no memory. *zero as for pages_take.
 */
void *large_take(size_t size, size_t alignment, bool *zero);

/* Both require a block whose map byte is CLASS_RUN. */
void large_free(void *block);
size_t large_usable(const void *block);

/* Shrinks, or grows into free neighbours; false, and nothing has happened, if that cannot be. */
bool large_resize(void *block, size_t size);

struct large_stats {
    uint64_t allocations, frees, bytes;
};
void large_stats(struct large_stats *out);

#endif
