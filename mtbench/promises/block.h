/*
 * A tested block: taken by one of the allocating functions, filled with its pattern, checked byte
 * by byte whenever it is resized, dropped or asked about. All functions end the probe with
 * broken() when contents are lost. Alignment and errno
 * have areas of their own: one broken promise shall not break every probe.
 *
 * A block belongs to whoever holds the struct; handing it to another thread needs a release and
 * acquire pair (a mutex, an atomic exchange).
 */
#ifndef BLOCK_H
#define BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    BY_MALLOC,
    BY_CALLOC,
    BY_REALLOC,
    BY_MEMALIGN,
    BY_POSIX_MEMALIGN,
    BY_ALIGNED_ALLOC,
    BY_VALLOC,
    KINDS
};

struct block {
    unsigned char *at; /* NULL: none held */
    size_t bytes;
    uint64_t key;
};

const char *kind_name(enum kind kind);

/* True and a filled block, or false and an empty one; then errno is the malloc's own verdict. */
bool block_try(struct block *block, enum kind kind, size_t bytes, uint32_t owner);

/* As block_try, but memory is there: a refusal breaks the promise. */
void block_take(struct block *block, enum kind kind, size_t bytes, uint32_t owner);

/* realloc. False: refused, and the block is as it was; errno is the malloc's own verdict. */
bool block_try_resize(struct block *block, size_t bytes, uint32_t owner);
void block_resize(struct block *block, size_t bytes, uint32_t owner);

/* Every byte as it was written. */
void block_check(const struct block *block);

/* Checks, frees, empties. An empty block is left alone. */
void block_drop(struct block *block);

/* Sizes that find mistakes: 2^k - 1, 2^k, 2^k + 1 and odd ones, from 1 byte up to limit; the
 * drawing is logarithmic, so every range is met. */
size_t block_size_draw(uint64_t *random, size_t limit);

/* A named size range: tiny 1 - 1024, mid to 32 KiB, large to 1 MiB, huge to 3 MiB. */
enum range { TINY, MID, LARGE, HUGE, RANGES };
size_t range_draw(uint64_t *random, enum range range);
const char *range_name(enum range range);

#endif
