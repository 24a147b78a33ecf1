/* central: one store per class, between the threads' caches and the spans.
 *
 * A store is an array of block pointers: a batch of any length comes or goes by one copy under one
 * short lock, and no block is touched. Only when the array is empty or full are spans looked at
 * (spans.h), under a second lock, so that threads that merely exchange blocks never wait for that.
 *
 * Lock: CENTRAL, never together with SPANS.
 */
#ifndef HAK_CENTRAL_H
#define HAK_CENTRAL_H

#include "base/base.h"

void central_init(void);

/* Puts up to n free blocks of a class into out[]; returns how many, 0 only if there is no memory.
 */
unsigned central_take(unsigned cls, void **out, unsigned n);

/* Takes n blocks that nobody uses any more. Ends the process if a span disowns one. A block from
 * before a start afresh (fork.h) is lost when the store is full. */
void central_give(unsigned cls, void *const *blocks, unsigned n);

/* Tells of `fresh` bytes taken that held no memory (dirty.h); in a step of growth, returns to the
 * spans half of what no thread asked for since the last step, of growth or decay. */
void central_grown(size_t fresh);

/* The same, by time. */
void central_decay(void);

/* Returns everything to the spans. */
void central_drain(void);

/* In a child that starts afresh (fork.h): the stores are empty. */
void central_forget(void);

struct central_stats {
    uint64_t taken, given; /* blocks, through both functions above */
    uint64_t stored;       /* blocks in the array now */
    uint64_t spans;        /* spans of this class */
    uint64_t purges;       /* calls made for free pages of spans in use */
};
void central_stats(unsigned cls, struct central_stats *out);

#endif
