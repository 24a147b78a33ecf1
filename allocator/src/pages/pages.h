/* pages: the page heap. Runs of granules, out and back, and from there to the system by time.
 *
 * Free runs that hold memory (dirty) are preferred to those that do not (clean), and of a run the
 * end that does, since it needs no page fault. Free neighbours are one run, so that a block made
 * anew a little longer stays where it was. A dirty run that nobody wanted for config.decay_ms is
 * purged.
 *
 * Takes PAGES (runs.h), for list work only. Purging and unmapping happen outside it, on runs that
 * are in no list meanwhile; mapping does under GROWTH.
 */
#ifndef HAK_PAGES_H
#define HAK_PAGES_H

#include "pages/pagemap.h"

/* Also brings up growth. False if the system refuses even that. */
bool pages_init(void);

/* A used run of `granules`, starting at a multiple of align_granules; NULL if there is no
 * memory. *zero says that all of it reads as zero. Its map bytes are CLASS_NONE. */
struct span *pages_take(size_t granules, size_t align_granules, bool *zero);

/* Gives a used run back. Its map bytes must be CLASS_NONE again. */
void pages_give(struct span *span);

/* Shortens a used run to `granules` (> 0, < its own); the rest is free. */
void pages_shorten(struct span *span, size_t granules);

/* Lengthens a used run in place; false if what lies behind it is not free, or too short. */
bool pages_lengthen(struct span *span, size_t granules);

/* Purges dirty runs that became free at least age_ms before now_ms. Returns bytes purged. */
size_t pages_purge(uint64_t now_ms, uint64_t age_ms);

/* Purges up to `bytes` of the run that has been free for longest, its upper part first. Returns
 * bytes purged, 0 also if the system refuses. */
size_t pages_purge_oldest(size_t bytes);

/* Whether there is a dirty run, and since when the oldest has been free. */
bool pages_oldest(uint64_t *freed_at_ms);

/* Unmaps all free runs, so that their address space counts no more. Returns bytes. For when the
 * system refuses: each has to be mapped again before it can be used. */
size_t pages_unmap(void);

/* In a child that starts afresh (fork.h): no run is known, and new ones come from addresses that
 * were never claimed. */
void pages_forget(void);

/* Bytes of used runs. A racy read. */
uint64_t pages_used_bytes(void);

/* Bytes that free runs hold. A racy read. */
uint64_t pages_dirty_bytes(void);

/* Bytes free and dirty, mapped, ever claimed; bytes and times purged so far. Racy reads. */
struct pages_stats {
    uint64_t dirty, committed, claimed, purged, purges;
};
void pages_stats(struct pages_stats *out);

#endif
