/* central: one store a class, between the threads' caches and the spans.
 *
 * A store is an array of block pointers: a batch of any length comes or goes by one copy under one
 * short lock, and no block is touched. Only when the array is empty or full are spans looked at,
 * under a second lock, so that threads that merely exchange blocks never wait for that.
 *
 * Locks: CENTRAL (the array), SPANS (the class's spans with free blocks); never both at once.
 */
#ifndef HAK_CENTRAL_H
#define HAK_CENTRAL_H

#include "lock.h"
#include "span.h"

void central_init(void);

/* Puts up to n free blocks of a class into out[]; returns how many, 0 only if there is no memory.
 */
unsigned central_take(unsigned cls, void **out, unsigned n);

/* Takes n blocks that nobody uses any more. Ends the process if a span disowns one. A block from
 * before a start afresh (fork.h) is lost when the store is full. */
void central_give(unsigned cls, void *const *blocks, unsigned n);

/* Returns to the spans what no thread asked for since the last call. */
void central_decay(void);
/* Returns everything to the spans. */
void central_drain(void);

/* Purges the free pages of spans that are mostly free and got their last block back at least age_ms
 * before now_ms. Returns bytes. */
size_t central_purge(uint64_t now_ms, uint64_t age_ms);

/* In a child that starts afresh (fork.h): the stores are empty, and no span is known. */
void central_forget(void);

/* The same of one span, the barest and longest so of the class that has most to purge; returns what
 * its free blocks were counted to hold, 0 if there is none. */
size_t central_purge_barest(void);

/* Purges the free pages of all spans. Returns bytes. */
size_t central_trim(void);

/* Bytes of free blocks in spans mostly free: those that may hold memory, since their span
 * was not purged lately, and all. Racy reads. */
uint64_t central_bare_bytes(void);
uint64_t central_hollow_bytes(void);

struct central_stats {
    uint64_t taken, given; /* blocks, through both functions above */
    uint64_t stored;       /* blocks in the array now */
    uint64_t spans;        /* spans of this class */
    uint64_t purges;       /* calls made for free pages of spans in use */
};
void central_stats(unsigned cls, struct central_stats *out);

#endif
