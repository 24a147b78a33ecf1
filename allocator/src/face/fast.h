/* fast: malloc and free, whole, for every size up to 32 KiB. Everything else is a cold call.
 *
 * malloc: size -> class (one table load), class -> bin of this thread's cache, pop. free: address
 * -> class (one page map load), class -> bin, push. No lock, no counter, no branch on
 * configuration: a bin without blocks, a full bin, a foreign pointer, a class that must ask the
 * route, a thread without a cache all fail one of the two tests.
 */
#ifndef HAK_FAST_H
#define HAK_FAST_H

#include "pages/pagemap.h"
#include "stores/bins.h"

/* Sizes below this are fast: 0 until fast_open, before which no block is in free's range
 * either. */
extern HIDDEN size_t fast_sizes;

/* Opens the fast paths once the calling thread's storage is there; before, nothing happens. */
void fast_open(void);

void *malloc_slow(size_t size);
void free_slow(void *block);

static inline __attribute__((always_inline)) void *fast_malloc(size_t size) {
    if (likely(size < fast_sizes)) {
        void *block = bin_pop(cache_bin(sizeclass_small(size)));
        if (likely(block != NULL)) {
            return block;
        }
    }
    return malloc_slow(size);
}

static inline __attribute__((always_inline)) void fast_free(void *block) {
    uintptr_t offset = (uintptr_t)block - pagemap.fast_base;
    if (likely(offset < range_bytes(&pagemap))) {
        if (likely(bin_push(cache_bin(pagemap.class_of[offset >> GRANULE_SHIFT]), block))) {
            return;
        }
    }
    free_slow(block);
}

#endif
