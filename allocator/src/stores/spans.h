/* spans: of each class, the spans that have free blocks; how full they are says who gives next.
 *
 * Blocks are taken from the fullest, so that others become empty and go back to the page heap. A
 * span is bare if a sixteenth of its pages is idle: holds memory that no block which is out needs.
 * Those go back to the system, by age, by the bound on free memory (dirty.h), or all at once.
 *
 * Lock: SPANS of the class, dropped where the system is called or the page heap is.
 */
#ifndef HAK_SPANS_H
#define HAK_SPANS_H

#include "base/base.h"

void spans_init(void);

/* Puts up to n free blocks of a class into out[], of spans at hand or of a new one; returns how
 * many, 0 only if there is no memory. *fresh are the bytes of a new one that held no memory yet. */
unsigned spans_take(unsigned cls, void **out, unsigned n, size_t *fresh);

/* Returns blocks to their spans, and empty spans to the page heap. Ends the process if a span
 * disowns one; a block from before a start afresh (fork.h) is lost. The caller keeps the bound on
 * free memory (dirty.h). */
void spans_give(unsigned cls, void *const *blocks, unsigned n);

/* Purges the free pages of bare spans that got their last block back at least age_ms before now_ms.
 * Returns bytes. */
size_t spans_purge(uint64_t now_ms, uint64_t age_ms);

/* The same of one span, bare for longest of the class that has most to purge; returns the bytes
 * that were counted as idle, 0 if there is none. */
size_t spans_purge_oldest(void);

/* Purges the free pages of all spans. Returns bytes. */
size_t spans_trim(void);

/* Bytes of bare spans' idle pages; and of all pages not needed in these and in those mostly purged.
 * Both are estimates (span_pages_needed). Racy reads. */
uint64_t spans_bare_bytes(void);
uint64_t spans_hollow_bytes(void);

/* In a child that starts afresh (fork.h): no span is known. */
void spans_forget(void);

struct spans_stats {
    uint64_t number; /* spans of this class */
    uint64_t cut;    /* blocks taken from them */
    uint64_t purges; /* calls made for free pages of spans in use */
};
/* Racy reads. */
void spans_stats(unsigned cls, struct spans_stats *out);

#endif
