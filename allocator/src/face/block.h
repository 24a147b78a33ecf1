/* block: one block of any size, from and to the box that has it. Below the API, above all boxes.
 *
 * What is here is slow only in that it is not inlined: class sizes still pass through the thread's
 * cache. Every function leaves errno alone.
 */
#ifndef HAK_BLOCK_H
#define HAK_BLOCK_H

#include "base/base.h"

/* Every block's alignment at least. */
#define ALIGN_LEAST ((size_t)16)

/* A block of `size` bytes at a multiple of `alignment` (a power of two >= ALIGN_LEAST), NULL if
 * there is no memory. *zero: it is known to read as zero. */
void *block_take(size_t size, size_t alignment, bool *zero);

/* Frees a block of ours, or a stranger's through the guard; ends the process for what is neither.
 */
void block_give(void *block);

/* Bytes that may be used at a block of ours; strangers are asked of libc. */
size_t block_usable(const void *block);

/* Resizes, `old` being its usable size; NULL, and nothing has happened, if it takes a new block and
 * a copy. Another address may be returned: a huge block's pages move, and a run that cannot grow in
 * place becomes huge, so that the next growth copies nothing. */
void *block_resize(void *block, size_t old, size_t size);

#endif
