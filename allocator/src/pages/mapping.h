/* mapping: the descriptors of blocks that are mappings of their own, and their bytes in sum.
 *
 * Lock: HUGE. The memory of descriptors grows by whole pages, mapped outside it, and never shrinks.
 */
#ifndef HAK_MAPPING_H
#define HAK_MAPPING_H

#include "base/base.h"

/* One block. Its owner's to write, as long as it is not in the super registry (superreg.h). */
struct mapping {
    uintptr_t address; /* of the block, and of the mapping */
    size_t bytes;      /* mapped */
    struct mapping *next;
};

void mapping_init(void);

/* A descriptor that nobody uses, its contents whatever was there; NULL if there is no memory. */
struct mapping *mapping_take(void);
void mapping_give(struct mapping *mapping);

/* Counts that blocks have so many bytes more, or, by a wrap, less. */
void mapping_count_bytes(size_t change);

/* Bytes of all blocks. A racy read. */
uint64_t mapping_bytes(void);

/* In a child that starts afresh (fork.h): no descriptor is at hand. Live blocks stay known. */
void mapping_forget(void);

#endif
