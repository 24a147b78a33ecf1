/*
 * What a live block holds: bytes made from its address, size, owner and generation. A constant
 * pattern misses lost data, and a block handed out twice must look different to its two owners.
 * Every byte is checked.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The pattern's key. The generation is a counter of this thread: each call gives another key. */
uint64_t pattern_key(const void *block, size_t bytes, uint32_t owner);

void pattern_fill(void *block, size_t bytes, uint64_t key);

/* Returns the offset of the first wrong byte, or bytes if all are right. Of a block that moved or
 * grew, check the first min(old, new) bytes with the old key. */
size_t pattern_check(const void *block, size_t bytes, uint64_t key);

/* The offset of the first byte that is not value, or bytes. */
size_t pattern_constant(const void *block, size_t bytes, unsigned char value);

/* A small deterministic generator (splitmix64). */
uint64_t random_next(uint64_t *state);
/* In [0, bound). */
size_t random_below(uint64_t *state, size_t bound);

#endif
