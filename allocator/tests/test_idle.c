/* idle: what sleeping threads' caches hold comes back, and nothing else does. */
#include "stores/idle.h"
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"
#include "stores/cache.h"

#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 400
#define SIZE 2000
#define LEFT 3 /* of a class, at most */

/* The C library runs destructors in so many rounds; what the last one does nobody cleans up after.
 */
#define LAST_ROUND 4

static unsigned class_of_size(void) {
    return sizeclass_small(SIZE);
}

static uint64_t cached(void) {
    struct cache_stats stats;
    cache_stats(&stats);
    return stats.blocks[class_of_size()];
}

/* Where no thread has a cache, nothing is promised. */
static bool nothing_to_take(void) {
    return config.check || config.budget == 0 || !config.idle;
}

/* Decay period after decay period, as many as it takes. */
static void decay_until_taken(void) {
    while (cached() > LEFT) {
        usleep(1000);
        decay_run();
    }
}

static void take_and_free(int rounds) {
    struct parcel parcels[BLOCKS];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            parcels[i] = (struct parcel){hak_malloc(SIZE), 64, (uint32_t)round, (uint32_t)i};
            CHECK(parcels[i].block != NULL);
            parcel_fill(&parcels[i]);
        }
        for (int i = 0; i < BLOCKS; i++) {
            parcel_end(&parcels[i]);
        }
    }
}

static _Atomic int pauses;
static _Atomic bool refusing;

bool __real_os_pause_ms(unsigned ms);
bool __wrap_os_pause_ms(unsigned ms);
bool __wrap_os_pause_ms(unsigned ms) {
    atomic_fetch_add(&pauses, 1);
    return !atomic_load(&refusing) && __real_os_pause_ms(ms);
}

static pthread_barrier_t meet;

static void *sleeper(void *unused) {
    take_and_free(50);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    take_and_free(50);
    return unused;
}

/* A thread with a full cache that sleeps until `wake`. */
static pthread_t put_to_sleep(void) {
    pthread_t thread;
    CHECK(pthread_barrier_init(&meet, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
    pthread_barrier_wait(&meet);
    return thread;
}

static void wake(pthread_t thread) {
    pthread_barrier_wait(&meet);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_barrier_destroy(&meet);
}

PROMISE(trim_takes_what_a_sleeping_thread_holds_and_the_thread_works_on) {
    if (nothing_to_take()) {
        return;
    }
    hak_trim();
    pthread_t thread = put_to_sleep();
    CHECK(cached() > 10);
    uint64_t taken = idle_taken();
    hak_trim();
    CHECK(cached() <= LEFT);
    CHECK(idle_taken() > taken);
    hak_trim();
    wake(thread);
}

PROMISE(decay_takes_what_a_sleeping_thread_holds) {
    if (nothing_to_take()) {
        return;
    }
    hak_trim();
    pthread_t thread = put_to_sleep();
    for (int period = 0; period < IDLE_PERIODS; period++) {
        decay_run();
        CHECK(cached() > 10);
    }
    uint64_t taken = idle_taken();
    decay_until_taken();
    CHECK(idle_taken() > taken);
    wake(thread);
}

PROMISE(what_was_suspended_a_moment_ago_is_nobody_elses_however_often_the_time_is_asked_for) {
    if (nothing_to_take()) {
        return;
    }
    hak_trim();
    pthread_t thread = put_to_sleep();
    uint64_t now = os_coarse_ms();
    for (int period = 0; period < 4 * IDLE_PERIODS; period++) {
        atomic_fetch_add(&decay_now, 1);
        idle_decay(now + IDLE_SETTLE_MS - 1);
        CHECK(cached() > 10);
    }
    idle_decay(os_coarse_ms() + IDLE_SETTLE_MS);
    CHECK(cached() <= LEFT);
    wake(thread);
}

PROMISE(a_trim_waits_only_for_threads_that_nobody_took_from_before) {
    if (nothing_to_take()) {
        return;
    }
    pthread_t thread = put_to_sleep();
    int before = atomic_load(&pauses);
    hak_trim();
    CHECK_EQUAL(atomic_load(&pauses), before + 1);
    hak_trim();
    hak_trim();
    CHECK_EQUAL(atomic_load(&pauses), before + 1);
    wake(thread);
    hak_trim();
    CHECK_EQUAL(atomic_load(&pauses), before + 1);
}

PROMISE(a_trim_that_may_not_wait_leaves_sleeping_threads_alone) {
    if (nothing_to_take()) {
        return;
    }
    hak_trim();
    pthread_t thread = put_to_sleep();
    atomic_store(&refusing, true);
    hak_trim();
    CHECK(cached() > 10);
    atomic_store(&refusing, false);
    hak_trim();
    CHECK(cached() <= LEFT);
    wake(thread);
}

PROMISE(a_thread_that_comes_back_in_time_keeps_its_cache) {
    if (nothing_to_take()) {
        return;
    }
    take_and_free(50);
    for (int period = 0; period < 4 * IDLE_PERIODS; period++) {
        uint64_t before = cached();
        decay_run();
        void *block = hak_malloc(SIZE);
        hak_free(block);
        CHECK(cached() >= before - 1);
    }
    CHECK(cached() > 10);
}

static void *drain(void *unused) {
    idle_drain();
    return unused;
}

/* The steps of malloc's and free's fast path, with a reclaiming thread between any two of them. */
PROMISE(an_operation_that_was_stopped_half_way_ends_as_if_nothing_were) {
    if (nothing_to_take()) {
        return;
    }
    for (int stop = 0; stop < 6; stop++) {
        void *seen[2 * BLOCKS];
        int n = 0;
        pthread_t other;
        take_and_free(50);
        struct bin *bin = cache_bin(class_of_size());
        void *mine = hak_malloc(SIZE), *block = NULL, *head = NULL, **top = NULL;
        for (int step = 0; step < 6; step++) {
            if (step == stop) {
                CHECK(pthread_create(&other, NULL, drain, NULL) == 0);
                CHECK(pthread_join(other, NULL) == 0);
                CHECK(cached() <= LEFT);
            }
            switch (step) {
            case 0: /* the bin is known; malloc reads its head and its top */
                block = bin->head;
                top = bin_top(bin) - 1;
                break;
            case 1:
                bin_set_top(bin, top);
                break;
            case 2:
                bin->head = *top;
                break;
            case 3: /* a second operation cannot be half way too: it finds the stand-in */
                if (stop < 3) {
                    CHECK(cache_now() == &cache_suspended);
                    step = 6;
                    break;
                }
                head = bin->head;
                top = bin_top(bin);
                break;
            case 4:
                *top = head;
                bin->head = mine;
                break;
            case 5:
                bin_set_top(bin, top + 1);
                mine = NULL;
                break;
            }
        }
        seen[n++] = block;
        if (mine != NULL) {
            seen[n++] = mine;
        }
        while (n < 2 * BLOCKS) {
            void *next = hak_malloc(SIZE);
            for (int i = 0; i < n; i++) {
                CHECK(seen[i] != next);
            }
            seen[n++] = next;
        }
        while (n > 0) {
            hak_free(seen[--n]);
        }
    }
}

static _Atomic bool done;

static void work_or_take(int index) {
    if (index == 0) {
        for (int i = 0; i < (SANITIZED ? 300 : 2000); i++) {
            idle_drain();
        }
        atomic_store(&done, true);
    } else {
        while (!atomic_load(&done)) {
            take_and_free(1);
        }
    }
}

PROMISE(no_block_is_lost_or_handed_out_twice_while_busy_threads_are_emptied) {
    crew_run(4, work_or_take);
    hak_trim();
    CHECK(cached() <= LEFT);
}

static pthread_key_t late;

static void last_rites(void *value) {
    uintptr_t round = (uintptr_t)value;
    if (round < LAST_ROUND) {
        pthread_setspecific(late, (void *)(round + 1));
    } else {
        take_and_free(1);
    }
}

static void *only_late(void *unused) {
    pthread_setspecific(late, (void *)1);
    return unused;
}

PROMISE(a_thread_that_ended_without_telling_leaves_nothing) {
    if (nothing_to_take() || SANITIZED) {
        return; /* a sanitizer allocates in every thread */
    }
    hak_trim();
    struct cache_stats before, after;
    pthread_t thread;
    CHECK(pthread_key_create(&late, last_rites) == 0);
    cache_stats(&before);
    CHECK(pthread_create(&thread, NULL, only_late, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    hak_trim();
    cache_stats(&after);
    CHECK_EQUAL(after.threads, before.threads);
    CHECK(cached() <= LEFT);
    pthread_key_delete(late);
}

PROMISE(the_child_of_a_fork_works_while_caches_are_suspended) {
    pthread_t other, thread = put_to_sleep();
    take_and_free(5);
    CHECK(pthread_create(&other, NULL, drain, NULL) == 0);
    CHECK(pthread_join(other, NULL) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        take_and_free(5);
        hak_trim();
        take_and_free(5);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    wake(thread);
}
