/* lock: short critical sections that may sleep, and say what they cost.
 *
 * A lock spins briefly, then sleeps on a futex: with more threads than cores the holder is often
 * not running, and a waiter that spins keeps it from running. No lock is held across a system call
 * or a walk of unbounded length, with two exceptions: GROWTH, because whoever waits for it wants
 * the same calls made, and REGISTRY in the `locked` rung, which is measured as it was shipped.
 *
 * Every lock has a name and a rank (locks.h), and ranks are taken in order (witness.h).
 *
 * Counters are plain fields, written while the lock is held and read racily by the statistics.
 * Times are taken only from the first reading of statistics on (lock_time): the clock that is
 * exact needs an instruction that not every program may execute.
 */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "base/afresh.h"
#include "base/base.h"
#include "base/config.h"
#include "base/locks.h"
#include "base/witness.h"

#include <pthread.h>
#include <stdatomic.h>

struct lock {
    _Atomic uint32_t state;   /* 0 free, 1 held, 2 held and somebody may sleep */
    uint32_t owner;           /* token of the last owner */
    _Atomic uint64_t waiting; /* who waits now, and since when: see lock_waiters() */
    _Atomic uint64_t acquisitions;
    _Atomic uint64_t spun, waited, wait_ns, max_wait_ns, owner_switches, max_waiters;
    _Atomic uint64_t hold_ns, hold_samples;
    uint64_t hold_start; /* when a sampled acquisition began, else 0 */
    pthread_mutex_t mutex;
} __attribute__((aligned(CACHE_LINE))); /* all zeros: free, never taken */

/* 1 acquisition in this many has its hold time measured, once times are. A power of two. */
#define LOCK_HOLD_SAMPLE 64

/* Which kind all locks are; set once, before the first lock is taken. */
void lock_choose(enum lock_kind kind);

/* From now on waits, and one hold in LOCK_HOLD_SAMPLE, are timed. */
void lock_time(void);

void lock_slow(struct lock *lock);
void lock_wake(struct lock *lock);
void lock_sampled_release(struct lock *lock);
void lock_sampled_acquire(struct lock *lock);

/* Every lock there is, in the order of naming, and back: for fork alone. */
void lock_acquire_all(void);
void lock_release_all(void);

/* In the child of a fork, which owns every lock: makes it free. */
void lock_after_fork(struct lock *lock);

/* Threads asleep or spinning for the lock now. With the sum of the times at which they began it is
 * one word, so that a reader has both of one moment: 16 bits of number, 48 of sum, in 16 us. */
static inline uint64_t lock_waiters(const struct lock *lock) {
    return atomic_load_explicit(&lock->waiting, memory_order_relaxed) >> 48;
}

/* Time waited for the lock until now: wait_ns, and what those have waited who still do, so that a
 * long wait counts where it was spent and not where it ended. */
uint64_t lock_waited_ns(const struct lock *lock);

/* A number that is this thread's alone while it lives. Never 0. */
uint32_t lock_self(void);

/* Adds to a counter that only the lock's holder writes: a plain add, yet no data race to a reader.
 */
static inline uint64_t lock_bump(_Atomic uint64_t *counter, uint64_t by) {
    uint64_t n = atomic_load_explicit(counter, memory_order_relaxed) + by;
    atomic_store_explicit(counter, n, memory_order_relaxed);
    return n;
}

/* Takes the lock if that needs no waiting; says whether. For work that anybody may do. */
bool lock_try(struct lock *lock);

extern enum lock_kind lock_kind_now;

static inline void lock_count_acquisition(struct lock *lock) {
    uint32_t self = lock_self();
    if (lock->owner != self) {
        lock->owner = self;
        lock_bump(&lock->owner_switches, 1);
    }
    if (unlikely(lock_bump(&lock->acquisitions, 1) % LOCK_HOLD_SAMPLE == 0)) {
        lock_sampled_acquire(lock);
    }
}

static inline void lock_take(struct lock *lock) {
    uint32_t free = 0;
    if (unlikely(lock_kind_now == LOCK_MUTEX) ||
        unlikely(!atomic_compare_exchange_strong_explicit(
            &lock->state, &free, 1, memory_order_acquire, memory_order_relaxed))) {
        lock_slow(lock);
    }
    lock_count_acquisition(lock);
}

static inline void lock_give(struct lock *lock) {
    if (unlikely(lock->hold_start != 0)) {
        lock_sampled_release(lock);
    }
    if (unlikely(lock_kind_now == LOCK_MUTEX)) {
        pthread_mutex_unlock(&lock->mutex);
    } else if (unlikely(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)) {
        lock_wake(lock);
    }
}

static inline void lock_acquire(struct lock *lock) {
    afresh_notice();
    witness_acquire(lock);
    lock_take(lock);
}

static inline void lock_release(struct lock *lock) {
    witness_release(lock);
    lock_give(lock);
}

#endif
