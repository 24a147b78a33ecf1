/* idle: what the caches of sleeping threads hold is everybody's.
 *
 * A cache has no lock, so nobody may touch it while its thread might. But every operation begins
 * with a load of cache_self, and that word another thread can change: a suspended cache's thread
 * finds a stand-in there whose bins are empty and full, and comes back through a slow path and the
 * lock CACHES. What remains is one operation that loaded the word before and has not ended. It can
 * be anywhere between its loads and its stores, however long ago: the kernel may have stopped the
 * thread there. It touches one bin, and of that only the head, the pointer below it and the place
 * above: everything deeper in the stack can be taken from under it, and is. So the fast paths pay
 * nothing, and of each class at most three blocks stay behind.
 *
 * That no later operation is in flight needs a barrier in every running thread: membarrier(2).
 * Where the kernel has none, sleeping threads keep what they have, within config.budget.
 *
 * A thread with no slow path for IDLE_PERIODS decay periods is suspended; one period later, if it
 * has not come back, its cache is emptied. A busy thread comes back at once, and nothing has
 * changed.
 */
#ifndef HAK_IDLE_H
#define HAK_IDLE_H

#include "base.h"

#define IDLE_PERIODS 2

/* Also in the child of a fork. */
void idle_init(void);

/* One decay period's work. */
void idle_decay(void);

/* Takes from every thread's cache now, asleep or not. */
void idle_drain(void);

/* Blocks taken from sleeping threads since the start. */
uint64_t idle_taken(void);

#endif
