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
 * That no later operation is in flight, and that what the thread wrote before can be seen, is a
 * matter of time: a store reaches memory within microseconds, and no processor holds a load back
 * for longer. (Morrison and Afek, "Temporally Bounding TSO for Fence-Free Asymmetric
 * Synchronization", ASPLOS 2015: whoever waits for the bound needs no barrier on the other side.)
 * So between a suspension and the emptying a decay period passes, and IDLE_SETTLE_MS at least;
 * malloc_trim waits IDLE_PAUSE_MS for it, a thousand times the bound.
 *
 * A thread with no slow path for IDLE_PERIODS decay periods is suspended; one period later, if it
 * has not come back, its cache is emptied. A busy thread comes back at once, and nothing has
 * changed.
 */
#ifndef HAK_IDLE_H
#define HAK_IDLE_H

#include "base/base.h"

#define IDLE_PERIODS 2

/* By the coarse clock, which is some milliseconds late; and by the kernel's timers. */
#define IDLE_SETTLE_MS 20
#define IDLE_PAUSE_MS 2

/* One decay period's work, at a time of os_coarse_ms. */
void idle_decay(uint64_t now_ms);

/* Takes from every thread's cache now, asleep or not. */
void idle_drain(void);

/* Blocks taken from sleeping threads since the start. */
uint64_t idle_taken(void);

#endif
