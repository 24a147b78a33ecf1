/* large: blocks above SMALL_MAX that are not huge.
 *
 * Up to LARGE_MAX they have size classes and pass through the thread's cache like small ones (the
 * Pool to POOL_MAX, L2.5 above); beyond, a block is a run of its own from the page heap.
 */
#ifndef HAK_LARGE_H
#define HAK_LARGE_H

#include "base/base.h"

/* A run as one block, aligned to `alignment`. NULL if there is no memory. *zero as for pages_take.
 */
void *run_take(size_t size, size_t alignment, bool *zero);

/* Both require a block whose map byte is CLASS_RUN. */
void run_free(void *block);
size_t run_usable(const void *block);

/* Shrinks, or grows into free neighbours; false, and nothing has happened, if that cannot be. */
bool run_resize(void *block, size_t size);

struct run_stats {
    uint64_t allocations, frees, bytes;
};
void run_stats(struct run_stats *out);

#endif
