#define _GNU_SOURCE
#include "base/lock.h"
#include "base/os.h"
#include "base/syscall.h"

#include <linux/futex.h>

/* A critical section here is some 20 to 100 ns; spinning for about a microsecond covers a running
 * holder and gives up soon on one that was preempted. */
#define SPINS 64

#define WAITER ((uint64_t)1 << 48)
#define WAIT_TICK_BITS 14

enum lock_kind lock_kind_now = LOCK_FUTEX;

/* Sums of starts count from here, to stay within 48 bits. 0: nothing is timed. */
static _Atomic uint64_t epoch_ns;

static _Thread_local char self_marker __attribute__((tls_model("initial-exec")));

uint32_t lock_self(void) {
    uint32_t token = (uint32_t)((uintptr_t)&self_marker >> 4);
    return token != 0 ? token : 1;
}

void lock_choose(enum lock_kind kind) {
    lock_kind_now = kind;
}

static uint64_t epoch(void) {
    return atomic_load_explicit(&epoch_ns, memory_order_relaxed);
}

void lock_time(void) {
    uint64_t never = 0;
    if (epoch() == never) {
        atomic_compare_exchange_strong(&epoch_ns, &never, os_now_ns());
    }
}

/* Since the epoch; who began to wait before it has waited since then. */
static uint64_t ticks(uint64_t ns) {
    return ns != 0 ? (ns - epoch()) >> WAIT_TICK_BITS : 0;
}

/* 0 while nothing is timed. */
static uint64_t timed_now(void) {
    return epoch() != 0 ? os_now_ns() : 0;
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool try_state(struct lock *lock, uint32_t held) {
    uint32_t free = 0;
    return atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong_explicit(&lock->state, &free, held, memory_order_acquire,
                                                   memory_order_relaxed);
}

bool lock_try(struct lock *lock) {
    afresh_notice();
    bool got =
        lock_kind_now == LOCK_MUTEX ? pthread_mutex_trylock(&lock->mutex) == 0 : try_state(lock, 1);
    if (got) {
        witness_acquire(lock);
        lock_count_acquisition(lock);
    }
    return got;
}

COLD void lock_slow(struct lock *lock) {
    if (lock_kind_now == LOCK_MUTEX && pthread_mutex_trylock(&lock->mutex) == 0) {
        return;
    }
    uint64_t start = timed_now();
    uint64_t mark = WAITER + ticks(start);
    atomic_fetch_add_explicit(&lock->waiting, mark, memory_order_relaxed);
    bool slept = false;
    if (lock_kind_now == LOCK_MUTEX) {
        pthread_mutex_lock(&lock->mutex);
        slept = true;
    } else {
        bool got = false;
        for (unsigned spin = 0; !got && (spin < SPINS || lock_kind_now == LOCK_SPIN); spin++) {
            relax();
            got = try_state(lock, 1);
        }
        /* A sleeper leaves 2 behind: it cannot know whether others still sleep. */
        while (!got) {
            slept = true;
            if (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) == 0) {
                break;
            }
            sys_futex(&lock->state, FUTEX_WAIT, 2, NULL);
        }
    }
    /* Counted by the holder, which waits no more: on arrival, one that has the lock but has not
     * said so yet would count as waiting. */
    uint64_t waiting =
        (atomic_fetch_sub_explicit(&lock->waiting, mark, memory_order_relaxed) - mark) >> 48;
    waiting = waiting > 0 ? waiting : 1;
    uint64_t waited = start != 0 ? os_now_ns() - start : 0;
    lock_bump(slept ? &lock->waited : &lock->spun, 1);
    lock_bump(&lock->wait_ns, waited);
    if (waited > atomic_load_explicit(&lock->max_wait_ns, memory_order_relaxed)) {
        atomic_store_explicit(&lock->max_wait_ns, waited, memory_order_relaxed);
    }
    if (waiting > atomic_load_explicit(&lock->max_waiters, memory_order_relaxed)) {
        atomic_store_explicit(&lock->max_waiters, waiting, memory_order_relaxed);
    }
}

uint64_t lock_waited_ns(const struct lock *lock) {
    if (epoch() == 0) {
        return 0;
    }
    uint64_t ended, still;
    int attempts = 8; /* a wait that ends between the readings would be in both or neither */
    do {
        ended = atomic_load_explicit(&lock->wait_ns, memory_order_acquire);
        uint64_t waiting = atomic_load_explicit(&lock->waiting, memory_order_acquire);
        uint64_t number = waiting >> 48, starts = waiting & (WAITER - 1);
        uint64_t until = number * ticks(os_now_ns());
        still = until > starts ? (until - starts) << WAIT_TICK_BITS : 0;
    } while (--attempts > 0 && ended != atomic_load_explicit(&lock->wait_ns, memory_order_relaxed));
    return ended + still;
}

COLD void lock_wake(struct lock *lock) {
    sys_futex(&lock->state, FUTEX_WAKE, 1, NULL);
}

COLD void lock_sampled_acquire(struct lock *lock) {
    lock->hold_start = timed_now();
}

COLD void lock_sampled_release(struct lock *lock) {
    lock_bump(&lock->hold_ns, os_now_ns() - lock->hold_start);
    lock_bump(&lock->hold_samples, 1);
    lock->hold_start = 0;
}

void lock_acquire_all(void) {
    afresh_notice();
    for (int i = 0; i < lock_count(); i++) {
        lock_take(lock_at(i));
    }
}

void lock_release_all(void) {
    for (int i = lock_count(); i-- > 0;) {
        lock_give(lock_at(i));
    }
}

void lock_after_fork(struct lock *lock) {
    atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->waiting, 0, memory_order_relaxed);
    lock->hold_start = 0;
    lock->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
