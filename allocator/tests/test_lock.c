/* lock: all three kinds exclude, wake, and count what they did. */
#include "base/lock.h"
#include "base/os.h"
#include "child.h"
#include "crew.h"

#define KINDS 3
#define ROUNDS (SANITIZED ? 2000 : 20000)

static struct lock locks[2 * KINDS], untimed;
static const enum lock_kind kinds[KINDS] = {LOCK_FUTEX, LOCK_SPIN, LOCK_MUTEX};
static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
static struct lock *now;
static uint64_t plain;

static uint64_t read_counter(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void with_each_kind(void (*test)(struct lock *lock), int first) {
    enum lock_kind kept = lock_kind_now;
    lock_time();
    for (int i = 0; i < KINDS; i++) {
        lock_choose(kinds[i]);
        lock_init(&locks[first + i], names[first + i], RANK_CHECK);
        test(&locks[first + i]);
    }
    lock_choose(kept);
}

static void add(int index) {
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        lock_acquire(now);
        plain++;
        lock_release(now);
    }
}

static void exclude_and_count(struct lock *lock) {
    enum { THREADS = 4 };
    now = lock;
    plain = 0;
    crew_run(THREADS, add);
    CHECK_EQUAL(plain, (uint64_t)THREADS * ROUNDS);
    uint64_t acquisitions = read_counter(&lock->acquisitions);
    CHECK_EQUAL(acquisitions, (uint64_t)THREADS * ROUNDS);
    CHECK(read_counter(&lock->spun) + read_counter(&lock->waited) <= acquisitions);
    CHECK(read_counter(&lock->owner_switches) >= THREADS);
    CHECK(read_counter(&lock->owner_switches) <= acquisitions);
    CHECK(read_counter(&lock->max_waiters) <= THREADS - 1);
    CHECK(read_counter(&lock->max_wait_ns) <= read_counter(&lock->wait_ns));
    CHECK_EQUAL(read_counter(&lock->hold_samples), acquisitions / LOCK_HOLD_SAMPLE);
    CHECK_EQUAL(lock_waiters(lock), 0);
}

PROMISE(nothing_is_timed_until_somebody_asks) {
    now = &untimed;
    lock_init(now, "untimed", RANK_CHECK);
    crew_run(4, add);
    CHECK(read_counter(&now->acquisitions) > 0);
    CHECK_EQUAL(read_counter(&now->hold_samples), 0);
    CHECK_EQUAL(read_counter(&now->wait_ns), 0);
    CHECK_EQUAL(lock_waited_ns(now), 0);
    lock_time();
    add(0);
    CHECK(read_counter(&now->hold_samples) > 0);
}

PROMISE(every_kind_excludes_and_its_counters_add_up) {
    with_each_kind(exclude_and_count, 0);
}

/* The main thread holds the lock until the other one certainly waits for it. */
static void *wait_once(void *argument) {
    struct lock *lock = argument;
    lock_acquire(lock);
    plain++;
    lock_release(lock);
    return NULL;
}

static void block_and_wake(struct lock *lock) {
    pthread_t thread;
    plain = 0;
    lock_acquire(lock);
    CHECK(pthread_create(&thread, NULL, wait_once, lock) == 0);
    while (lock_waiters(lock) == 0 ||
           (lock_kind_now == LOCK_FUTEX && atomic_load(&lock->state) != 2)) {
        usleep(100);
    }
    CHECK_EQUAL(plain, 0);
    usleep(2000);
    CHECK_EQUAL(read_counter(&lock->wait_ns), 0);
    CHECK(lock_waited_ns(lock) >= 1000000); /* of one that still waits */
    lock_release(lock);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQUAL(plain, 1);
    CHECK_EQUAL(read_counter(&lock->acquisitions), 2);
    CHECK_EQUAL(read_counter(&lock->spun), lock_kind_now == LOCK_SPIN);
    CHECK_EQUAL(read_counter(&lock->waited), lock_kind_now != LOCK_SPIN);
    CHECK_EQUAL(read_counter(&lock->max_waiters), 1);
    CHECK_EQUAL(read_counter(&lock->owner_switches), 2);
    CHECK(read_counter(&lock->wait_ns) > 0);
    CHECK_EQUAL(read_counter(&lock->wait_ns), read_counter(&lock->max_wait_ns));
    CHECK_EQUAL(lock_waited_ns(lock), read_counter(&lock->wait_ns));
}

PROMISE(a_waiter_sleeps_is_woken_and_is_counted_once) {
    with_each_kind(block_and_wake, KINDS);
}

static struct lock forked;

static void take_after_fork(void) {
    lock_after_fork(&forked);
    lock_acquire(&forked);
    lock_release(&forked);
}

PROMISE(a_lock_held_at_a_fork_is_free_in_the_child) {
    enum lock_kind kept = lock_kind_now;
    for (int i = 0; i < KINDS; i++) {
        lock_choose(kinds[i]);
        if (i == 0) {
            lock_init(&forked, "forked", RANK_CHECK);
        }
        /* The allocator's own prepare handler takes every lock that lock_init has named. */
        CHECK_EQUAL(child_fork(take_after_fork).code, 0);
    }
    lock_choose(kept);
}

PROMISE(every_lock_has_a_name_of_its_own) {
    for (int i = 0; i < lock_count(); i++) {
        char name[LOCK_NAME], other[LOCK_NAME];
        lock_name(lock_at(i), name);
        CHECK(name[0] != '\0' && name[LOCK_NAME - 1] == '\0');
        for (int k = i + 1; k < lock_count(); k++) {
            lock_name(lock_at(k), other);
            CHECK(strcmp(name, other) != 0);
        }
    }
}

static struct lock outer, inner;

static void name_two_locks(void) {
    lock_init(&outer, "outer", RANK_SPANS);
    lock_init(&inner, "inner", RANK_CENTRAL);
}

PART(a_lower_rank_under_a_higher) {
    name_two_locks();
    lock_acquire(&outer);
    lock_acquire(&inner);
}

PART(two_of_one_rank) {
    lock_init(&outer, "outer", RANK_SPANS);
    lock_init(&inner, "inner", RANK_SPANS);
    lock_acquire(&outer);
    lock_acquire(&inner);
}

PART(a_system_call_under_a_lock) {
    name_two_locks();
    lock_acquire(&outer);
    os_map(PAGE, PAGE);
}

PART(no_violation) {
    name_two_locks();
    for (int round = 0; round < 2; round++) {
        lock_acquire(&inner);
        lock_acquire(&outer);
        lock_release(&inner); /* in any order */
        lock_release(&outer);
        CHECK(lock_try(&outer));
        lock_release(&outer);
    }
    os_unmap(os_map(PAGE, PAGE), PAGE);
}

static char *nothing[] = {NULL};

static void expect_death(const char *part, const char *words) {
    struct ending end = child_again(part, nothing, 0);
    CHECK_EQUAL(end.signal, SIGABRT);
    CHECK(strstr(end.said, words) != NULL);
}

PROMISE(a_lock_taken_out_of_rank_ends_the_process_with_both_names) {
    expect_death("a_lower_rank_under_a_higher", "lock inner under outer");
    expect_death("two_of_one_rank", "lock inner under outer");
    expect_death("a_system_call_under_a_lock", "a system call under outer");
    CHECK_EQUAL(child_again("no_violation", nothing, 0).code, 0);
}

static struct lock many[64];

PART(more_locks_than_there_is_room_for) {
    for (int i = 0; i < 64; i++) {
        lock_init(&many[i], "many", RANK_CHECK);
    }
}

PROMISE(a_lock_that_fork_would_leave_out_ends_the_process) {
    expect_death("more_locks_than_there_is_room_for", "more locks than a fork could hold");
}

static _Atomic uint32_t tokens[64];

static void note_token(int index) {
    CHECK(lock_self() != 0);
    atomic_store(&tokens[index], lock_self());
}

static pthread_barrier_t all_here;

static void note_and_stay(int index) {
    note_token(index);
    pthread_barrier_wait(&all_here);
}

PROMISE(threads_alive_together_have_different_tokens) {
    CHECK(pthread_barrier_init(&all_here, NULL, 64) == 0);
    crew_run(64, note_and_stay);
    for (int i = 0; i < 64; i++) {
        for (int k = 0; k < i; k++) {
            CHECK(atomic_load(&tokens[i]) != atomic_load(&tokens[k]));
        }
    }
}
