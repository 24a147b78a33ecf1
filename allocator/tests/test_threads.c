/* threads: blocks handed from thread to thread, threads that come and go. A hand-over is a
 * release/acquire pair: the allocator reuses freed memory, so anything less is a race. */
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>

#define BOXES 64

static _Atomic(struct parcel *) boxes[BOXES];
static int steps;

/* Makes parcels, each described by a block of its own, and swaps them with whatever lies in a
 * random box; whoever gets one checks every byte, frees it or resizes it, whoever made it. */
static void exchange(int index) {
    unsigned long long state = (unsigned long long)index * 7919 + 1;
    for (uint32_t step = 0; step < (uint32_t)steps; step++) {
        struct parcel *mine = hak_malloc(sizeof *mine);
        CHECK(mine != NULL);
        *mine = parcel_make(parcel_size(&state), (uint32_t)index, step);
        size_t box = check_random(&state) % BOXES;
        struct parcel *other = atomic_exchange_explicit(&boxes[box], mine, memory_order_acq_rel);
        if (other == NULL) {
            continue;
        }
        parcel_check(other);
        if (step % 4 == 0) {
            size_t size = parcel_size(&state), old = other->size;
            unsigned char *moved = hak_realloc(other->block, size == 0 ? 1 : size);
            CHECK(moved != NULL);
            parcel_check_at(other, moved, old < size ? old : size);
            hak_free(moved);
        } else {
            hak_free(other->block);
        }
        hak_free(other);
    }
}

static void exchange_among(int threads, int steps_each) {
    steps = SANITIZED ? steps_each / 4 : steps_each;
    crew_run(threads, exchange);
    for (int i = 0; i < BOXES; i++) {
        struct parcel *last = atomic_exchange(&boxes[i], NULL);
        if (last != NULL) {
            parcel_end(last);
            hak_free(last);
        }
    }
}

PROMISE(blocks_handed_between_2_threads_keep_every_byte) {
    exchange_among(2, 5000);
}

PROMISE(blocks_handed_between_8_threads_keep_every_byte) {
    exchange_among(8, 1500);
}

PROMISE(blocks_handed_between_64_threads_keep_every_byte) {
    exchange_among(64, 250);
}

/* One makes, the others only free: memory must come round through the stores. */
static _Atomic(struct parcel *) queue[256];
static _Atomic int making;

static void make_or_free(int index) {
    unsigned long long state = (unsigned long long)index + 100;
    if (index == 0) {
        for (uint32_t step = 0; step < (SANITIZED ? 2000u : 8000u); step++) {
            struct parcel *parcel = hak_malloc(sizeof *parcel);
            CHECK(parcel != NULL);
            *parcel = parcel_make(check_random(&state) % 8192, 0, step);
            _Atomic(struct parcel *) *place = &queue[step % 256];
            struct parcel *empty = NULL;
            while (!atomic_compare_exchange_weak_explicit(
                place, &empty, parcel, memory_order_release, memory_order_relaxed)) {
                empty = NULL;
                sched_yield();
            }
        }
        atomic_store(&making, 0);
        return;
    }
    int last_round = 0;
    while (!last_round) {
        last_round = !atomic_load(&making);
        for (int i = 0; i < 256; i++) {
            struct parcel *parcel = atomic_exchange_explicit(&queue[i], NULL, memory_order_acquire);
            if (parcel != NULL) {
                parcel_end(parcel);
                hak_free(parcel);
            }
        }
        sched_yield();
    }
}

PROMISE(a_maker_whose_blocks_others_free_does_not_grow_without_bound) {
    static struct hak_stats stats;
    uint64_t committed[2];
    for (int round = 0; round < 2; round++) {
        for (int again = 0; again <= round * 2; again++) {
            atomic_store(&making, 1);
            crew_run(4, make_or_free);
        }
        CHECK(hak_stats(&stats, sizeof stats) == 0);
        committed[round] = stats.committed_bytes;
    }
    CHECK(stats.leaked_blocks > 0 || committed[1] <= committed[0] + ((size_t)64 << 20));
}

static struct parcel legacy[32][16];

static void leave_behind(int index) {
    unsigned long long state = (unsigned long long)index + 1;
    for (uint32_t i = 0; i < 16; i++) {
        if (legacy[index][i].block != NULL) {
            parcel_end(&legacy[index][i]);
        }
        legacy[index][i] = parcel_make(parcel_size(&state), (uint32_t)index, i);
    }
}

PROMISE(blocks_outlive_the_threads_that_made_them_through_thread_churn) {
    for (int round = 0; round < (SANITIZED ? 5 : 15); round++) {
        crew_run(32, leave_behind);
    }
    for (int k = 0; k < 32; k++) {
        for (int i = 0; i < 16; i++) {
            parcel_end(&legacy[k][i]);
        }
    }
}

static void live_briefly(int index) {
    struct parcel parcel = parcel_make((size_t)index * 300 + 50, (uint32_t)index, 1);
    parcel_end(&parcel);
}

PROMISE(thousands_of_short_lives_leave_no_cache_and_no_memory_behind) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    uint32_t threads = stats.threads;
    uint64_t committed = 0;
    for (int round = 0; round < (SANITIZED ? 30 : 150); round++) {
        crew_run(8, live_briefly);
        if (round == 20) {
            hak_trim(); /* checked mode's quarantine too, which is still filling */
            CHECK(hak_stats(&stats, sizeof stats) == 0);
            committed = stats.committed_bytes;
        }
    }
    hak_trim();
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    CHECK_EQUAL(stats.threads, threads);
    CHECK(stats.leaked_blocks > 0 || stats.committed_bytes <= committed + (16u << 20));
}

/* Destructors of thread-specific data run in no particular order, and again as long as values are
 * set: this one frees and allocates in every round, before and after the allocator's own. */
#define ROUNDS (SANITIZED ? 2 : PTHREAD_DESTRUCTOR_ITERATIONS) /* then its runtime has gone too */
static pthread_key_t keys[8];
static _Atomic int destroyed;

static void destroy(void *value) {
    struct parcel *parcel = value;
    parcel_end(parcel);
    atomic_fetch_add(&destroyed, 1);
    if (parcel->generation < ROUNDS) {
        pthread_key_t key = keys[parcel->owner];
        struct parcel *next = hak_malloc(sizeof *next);
        CHECK(next != NULL);
        *next = parcel_make(2000, parcel->owner, parcel->generation + 1);
        CHECK(pthread_setspecific(key, next) == 0);
    }
    hak_free(parcel);
}

static void set_specifics(int index) {
    (void)index;
    for (uint32_t i = 0; i < 8; i++) {
        struct parcel *parcel = hak_malloc(sizeof *parcel);
        CHECK(parcel != NULL);
        *parcel = parcel_make(100 + 1000 * i, i, 1);
        CHECK(pthread_setspecific(keys[i], parcel) == 0);
    }
}

PROMISE(destructors_may_free_and_allocate_after_our_own_has_run) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    uint32_t threads = stats.threads;
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    }
    for (int round = 0; round < 5; round++) {
        crew_run(8, set_specifics);
    }
    CHECK_EQUAL(atomic_load(&destroyed), 5 * 8 * 8 * ROUNDS);
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    CHECK_EQUAL(stats.threads, threads);
}

static pthread_barrier_t all_here;

static void be_one_of_many(int index) {
    unsigned long long state = (unsigned long long)index + 1;
    struct parcel parcels[6];
    for (uint32_t i = 0; i < 6; i++) {
        parcels[i] = parcel_make(check_random(&state) % 9000, (uint32_t)index, i);
    }
    pthread_barrier_wait(&all_here);
    for (int i = 0; i < 6; i++) {
        parcel_end(&parcels[i]);
    }
}

PROMISE(fifteen_hundred_threads_allocate_at_once_on_small_stacks) {
    int n = SANITIZED ? 200 : 1500;
    CHECK(pthread_barrier_init(&all_here, NULL, (unsigned)n) == 0);
    crew_run_with(n, SANITIZED ? 0 : (size_t)64 << 10, be_one_of_many);
}

static void use_all_on_a_small_stack(int index) {
    static const size_t sizes[] = {10, 5000, 40000, 700000, 2 << 20, 40 << 20};
    for (int i = 0; i < 6; i++) {
        char *block = hak_malloc(sizes[i]);
        CHECK(block != NULL);
        block[0] = (char)index;
        block = hak_realloc(block, sizes[i] + sizes[i] / 2);
        CHECK(block != NULL && block[0] == (char)index);
        hak_free(block);
    }
    hak_trim();
}

PROMISE(the_smallest_stack_there_is_suffices) {
    size_t least = PTHREAD_STACK_MIN < (16 << 10) ? 16 << 10 : (size_t)PTHREAD_STACK_MIN;
    crew_run_with(4, SANITIZED ? 0 : least, use_all_on_a_small_stack);
}
