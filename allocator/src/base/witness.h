/* witness: sees that locks are taken in the order of their ranks, and none across a system call.
 *
 * In builds with HAK_WITNESS, the tests' own; elsewhere it leaves no code behind. A violation ends
 * the process with both locks' names.
 */
#ifndef HAK_WITNESS_H
#define HAK_WITNESS_H

struct lock;

#ifdef HAK_WITNESS

/* Before a thread waits for the lock; and when it no longer holds it. */
void witness_acquire(const struct lock *lock);
void witness_release(const struct lock *lock);

/* The thread holds no lock but those that are meant to be held across a system call. */
void witness_no_lock(void);

#else

static inline void witness_acquire(const struct lock *lock) {
    (void)lock;
}
static inline void witness_release(const struct lock *lock) {
    (void)lock;
}
static inline void witness_no_lock(void) {}

#endif

#endif
