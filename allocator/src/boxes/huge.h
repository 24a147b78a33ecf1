/* huge: blocks above the threshold, each a mapping of its own.
 *
 * A block is found by the super registry. Freed mappings rest in the BigCache for a while. Growing
 * moves pages (mremap), never contents.
 */
#ifndef HAK_HUGE_H
#define HAK_HUGE_H

#include "base/base.h"

/* A block of its own mapping, aligned to `alignment` (a power of two); NULL if there is no memory.
 * On entry *zero asks for zero contents: then the mapping is a fresh one, which costs less than
 * clearing an old one. On return it says whether all of it reads as zero. */
void *huge_take(size_t size, size_t alignment, bool *zero);

/* Frees the block if it is huge; false, and nothing has happened, if it is not. */
bool huge_free(void *block);

/* Resizes a huge block, keeping its contents; NULL, and the block as it was, if it is not huge or
 * there is no memory (*known tells which). */
void *huge_resize(void *block, size_t size, bool *known);

/* Usable bytes of a huge block; 0 if it is not one. */
size_t huge_usable(const void *block);

struct huge_stats {
    uint64_t allocations, frees, bytes;
};
void huge_stats(struct huge_stats *out);

#endif
