/* regret: what the bound on free memory (dirty.h) made a load give back, and the load took anew.
 *
 * That would better have stayed, so twice as much may from then on: if it was taken anew within
 * milliseconds, when nothing else could have used it meanwhile (soon), or before the next of
 * decay's steps (later). How far either counts is dirty.c's to say.
 *
 * Idle pages of spans serve their own class alone. If growth of another made them go back, and that
 * class takes them anew before the next of decay's steps, as much may stay; each step of growth
 * takes a quarter of that.
 *
 * No lock: racy, as a few bytes more or less do not matter.
 */
#ifndef HAK_REGRET_H
#define HAK_REGRET_H

#include "base/base.h"

/* Tells of `bytes` that the bound gave back; and of `bytes` taken that hold no memory yet. */
void regret_returned(size_t bytes);
void regret_missed(size_t bytes);

/* The same of idle pages of spans that growth gave back. */
void regret_returned_idle(size_t bytes);
void regret_missed_idle(size_t bytes);

/* Bytes that may stay for having been missed. */
uint64_t regret_soon(void);
uint64_t regret_later(void);
uint64_t regret_idle(void);

/* One step of decay: a quarter of all goes, and what was given back before it was not missed. */
void regret_decay(void);

/* One step of growth: a quarter of what may stay idle goes. */
void regret_grown(void);

#endif
