/* dirty: how much memory may stay resident though it is free.
 *
 * Three boxes keep free memory for reuse: the page heap's dirty runs, the BigCache's mappings, and
 * the idle pages of bare spans. Together they keep at most config.dirty bytes or, if that is more,
 * a quarter of what is in use; time (decay.h) takes the rest. So memory follows use: a peak is at
 * most a quarter above what was in use, whatever happens between two decays.
 *
 * More is allowed to a load that is seen to take anew what the bound made it give back (regret.h):
 * twice what was missed, beside the bound. Taken anew within milliseconds, up to what the page heap
 * has mapped, or the latest peak of use and its bound; taken anew before the next of decay's steps,
 * up to what is in use less than at the latest peak. Each step takes a quarter of the allowance,
 * and brings the latest peak a quarter nearer to use.
 *
 * Idle pages of bare spans, and blocks in stores and caches which pin others, serve their own class
 * alone. So while fresh memory is taken from the system for some class, less of them may stay: the
 * idle pages at most a thirty-second of what is in use, at least config.dirty, and as much as their
 * class was seen to take anew; and each time so much was taken, a step of growth makes stores and
 * caches part with what nobody asked for since the last (central.h, cache.c), as each step of decay
 * does by time.
 *
 * No lock: whoever gave memory back and finds too much purges, with no lock held, down to fifteen
 * sixteenths of the limit: a load that swings about it makes few calls, and one that is to be
 * allowed more has lost little before that is known.
 */
#ifndef HAK_DIRTY_H
#define HAK_DIRTY_H

#include "base/base.h"

/* Keeps the bound. For slow paths that gave memory back, holding no lock. */
void dirty_bound(void);

/* Tells of `fresh` bytes taken that held no memory, for which up to twice as many of bare spans are
 * to go back beyond what may stay of them then: some in this call, some in later ones. True if a
 * step of growth is due. Holding no lock. */
bool dirty_grown(size_t fresh);

/* Steps of growth so far. A racy read. */
uint32_t dirty_steps(void);

/* One step of decay: what is allowed, and what the latest peak is above use, goes by a quarter. */
void dirty_decay(void);

/* Bytes free and held now, and how many may be. Racy reads. */
uint64_t dirty_bytes(void);
uint64_t dirty_limit(void);

#endif
