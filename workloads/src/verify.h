/* The pattern of a verified block.
 *
 * The word at byte p of a block of `size` bytes at `base` made by `owner` is
 *     seal(base + p, size) ^ owner,   seal(a, s) = (a ^ s << 40) * odd constant
 * so every word tells the address, the size and the owner, and a block that overlaps another, was
 * handed out twice, or lost a write cannot look right. The last size % 8 bytes are the low bytes
 * of their word. A released block is marked with an owner that no thread has. */
#ifndef WORKLOADS_VERIFY_H
#define WORKLOADS_VERIFY_H

#include "block.h"

/* Writes the pattern of worker into all of the block. */
void verify_fill(struct worker *worker, const struct block *block);
/* Compares `length` bytes at `where` with the pattern of a block of `size` bytes made at `base`.
 * false: a violation was recorded and the run is stopping. */
bool verify_check(struct worker *worker, const char *where, uint64_t base, uint32_t size,
                  uint32_t length, uint32_t owner);
/* Compares the whole block with zero, as calloc promises. */
bool verify_zero(struct worker *worker, const struct block *block);
bool verify_aligned(struct worker *worker, const struct block *block, uint64_t alignment);
void verify_mark_released(const struct block *block);
/* Records the first violation of the run and stops it. */
void verify_report(struct worker *worker, const char *what, uint64_t address, uint64_t found,
                   uint64_t expected);

#endif
