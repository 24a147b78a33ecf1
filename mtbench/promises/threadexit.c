/* Threads come and go: their caches are reused, their blocks outlive them. */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "team.h"

static void *short_life(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    void *held[16];
    for (int i = 0; i < 16; i++) {
        size_t bytes = block_size_draw(&random, 4 * KIB);
        held[i] = heap.malloc(bytes);
        if (held[i] == NULL) {
            broken("malloc(%zu) = NULL in a thread", bytes);
        }
        memset(held[i], 1, bytes);
    }
    for (int i = 0; i < 16; i++) {
        heap.free(held[i]);
    }
    return NULL;
}

static void hundred_thousand(void) {
    size_t threads = effort(100000, 15000);
    size_t settled = 0;
    for (size_t i = 0; i < threads; i++) {
        thread_join(thread_start(short_life, (void *)(i + 1)));
        if (i == threads / 10) {
            settled = memory_resident();
        }
    }
    size_t end = memory_resident();
    REQUIRE(end < settled + (size_t)16 * MIB, "%zu short threads made %zu MiB more resident",
            threads - threads / 10, (end - settled) / MIB);
}

static void virtual_settles(void) {
    size_t threads = effort(20000, 5000), settled = 0;
    for (size_t i = 0; i < threads; i++) {
        thread_join(thread_start(short_life, (void *)(i + 1)));
        if (i == threads / 4) {
            settled = memory_virtual();
        }
    }
    size_t end = memory_virtual();
    REQUIRE(end < settled + (size_t)64 * MIB,
            "%zu short threads made the address space %zu MiB larger", threads - threads / 4,
            (end - settled) / MIB);
}

struct legacy {
    struct block *blocks;
    size_t count;
    uint64_t random;
};

static void *leave_blocks(void *argument) {
    struct legacy *legacy = argument;
    for (size_t i = 0; i < legacy->count; i++) {
        block_take(&legacy->blocks[i], (enum kind)(i % KINDS),
                   block_size_draw(&legacy->random, 32 * KIB), 1);
    }
    return NULL;
}

static void blocks_outlive(void) {
    enum { GENERATIONS = 8, COUNT = 1500 };
    struct legacy legacies[GENERATIONS];
    for (size_t i = 0; i < GENERATIONS; i++) {
        legacies[i] = (struct legacy){memory_pages(COUNT * sizeof(struct block)), COUNT, i + 1};
        thread_join(thread_start(leave_blocks, &legacies[i]));
        for (size_t j = 0; j <= i; j++) {
            for (size_t b = 0; b < COUNT; b++) {
                block_check(&legacies[j].blocks[b]);
            }
        }
    }
    for (size_t i = 0; i < GENERATIONS; i++) {
        for (size_t b = 0; b < COUNT; b++) {
            block_drop(&legacies[i].blocks[b]);
        }
    }
}

static void *drop_blocks(void *argument) {
    struct legacy *legacy = argument;
    for (size_t b = 0; b < legacy->count; b++) {
        block_drop(&legacy->blocks[b]);
    }
    return NULL;
}

/* A chain of threads, each freeing what the one before, long dead, left. Memory must not grow. */
static void heirs(void) {
    struct legacy legacy = {memory_pages(2000 * sizeof(struct block)), 2000, 3};
    size_t settled = 0, rounds = effort(200, 60);
    for (size_t round = 0; round < rounds; round++) {
        thread_join(thread_start(leave_blocks, &legacy));
        thread_join(thread_start(drop_blocks, &legacy));
        if (round == rounds / 4) {
            settled = memory_resident();
        }
    }
    size_t end = memory_resident();
    REQUIRE(end < settled + (size_t)48 * MIB, "%zu generations of heirs left %zu MiB more",
            rounds - rounds / 4, (end - settled) / MIB);
}

static pthread_key_t early_key, late_key;
static atomic_size_t destructor_runs;

struct keepsake {
    struct block block;
    size_t rounds_left;
};

/* Runs after the allocator's own thread cleanup: frees, allocates, asks for another round. */
static void destructor(void *argument) {
    struct keepsake *keepsake = argument;
    struct block fresh[8];
    atomic_fetch_add(&destructor_runs, 1);
    for (int i = 0; i < 8; i++) {
        block_take(&fresh[i], (enum kind)(i % KINDS), (size_t)1 << (i + 4), 1);
    }
    block_resize(&keepsake->block, keepsake->block.bytes * 2, 1);
    for (int i = 0; i < 8; i++) {
        block_drop(&fresh[i]);
    }
    if (keepsake->rounds_left-- > 0) {
        pthread_setspecific(late_key, keepsake);
        return;
    }
    block_drop(&keepsake->block);
    heap.free(keepsake);
}

static void *with_keepsake(void *argument) {
    struct keepsake *keepsake = heap.malloc(sizeof *keepsake);
    block_take(&keepsake->block, BY_MALLOC, 100, 1);
    /* POSIX promises PTHREAD_DESTRUCTOR_ITERATIONS rounds, 4 at least: we use three. */
    keepsake->rounds_left = 2;
    pthread_setspecific(argument == NULL ? early_key : late_key, keepsake);
    return NULL;
}

static void destructors(void) {
    size_t threads = effort(4000, 1000), settled = 0;
    pthread_key_create(&early_key, destructor);
    pthread_key_create(&late_key, destructor);
    for (size_t i = 0; i < threads; i++) {
        thread_join(thread_start(with_keepsake, (void *)(i % 2)));
        if (i == threads / 4) {
            settled = memory_resident();
        }
    }
    REQUIRE(atomic_load(&destructor_runs) == 3 * threads, "%zu destructor rounds instead of %zu",
            atomic_load(&destructor_runs), 3 * threads);
    size_t end = memory_resident();
    REQUIRE(end < settled + (size_t)16 * MIB,
            "destructors that allocate in %zu threads left %zu MiB more", threads - threads / 4,
            (end - settled) / MIB);
}

/* A destructor whose first act is a free, in a thread that never allocated itself. */
static void *only_inherits(void *argument) {
    pthread_setspecific(late_key, argument);
    return NULL;
}

static void free_in_destructor_only(void) {
    pthread_key_create(&late_key, heap.free);
    size_t settled = 0, threads = effort(8000, 2000);
    for (size_t i = 0; i < threads; i++) {
        char *block = heap.malloc(20000);
        REQUIRE(block != NULL, "malloc(20000) = NULL");
        memset(block, 1, 20000);
        thread_join(thread_start(only_inherits, block));
        if (i == threads / 4) {
            settled = memory_resident();
        }
    }
    size_t end = memory_resident();
    REQUIRE(end < settled + (size_t)16 * MIB, "blocks freed by destructors left %zu MiB",
            (end - settled) / MIB);
}

static pthread_barrier_t crowd;

static void *one_of_crowd(void *argument) {
    short_life(argument);
    pthread_barrier_wait(&crowd);
    short_life(argument);
    return NULL;
}

static void fifteen_hundred(void) {
    enum { THREADS = 1500 };
    pthread_t *threads = memory_pages(THREADS * sizeof *threads);
    pthread_barrier_init(&crowd, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] =
            thread_start_with_stack(one_of_crowd, (void *)(i + 1), 32 * KIB + PTHREAD_STACK_MIN);
    }
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
}

/* malloc's own deepest path: refills, growth, thread set-up. Nothing of ours is on this stack. */
static void *on_small_stack(void *argument) {
    static const size_t sizes[] = {1, 100, 5000, 40000, 300000, 3000000};
    (void)argument;
    for (int round = 0; round < 20; round++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            void *block = heap.malloc(sizes[s]);
            block = heap.realloc(block, sizes[s] * 2);
            heap.free(heap.memalign(256, sizes[s]));
            heap.free(heap.calloc(1, sizes[s]));
            heap.free(block);
        }
    }
    return NULL;
}

static void small_stacks(void) {
    long least = sysconf(_SC_THREAD_STACK_MIN); /* a large static TLS raises it */
    size_t stack = least > 16 * KIB ? (size_t)least : 16 * KIB;
    for (int i = 0; i < 100; i++) {
        thread_join(thread_start_with_stack(on_small_stack, NULL, stack));
    }
}

static const struct probe rows[] = {
    ROW("hundred-thousand", "100 000 short-lived threads do not grow resident memory",
        hundred_thousand, SLOW),
    ROW("address-space", "short-lived threads do not grow the address space", virtual_settles,
        SLOW),
    ROW("outlive", "blocks outlive the threads that took them", blocks_outlive, QUICK),
    ROW("heirs", "threads that free what dead threads left do not grow memory", heirs, SLOW),
    ROW("destructors", "thread-specific-data destructors allocate and free, three rounds",
        destructors, QUICK),
    ROW("destructor-free", "a destructor may be a thread's only free", free_in_destructor_only,
        QUICK),
    ROW("fifteen-hundred", "1 500 threads at once", fifteen_hundred, QUICK),
    ROW("small-stack", "stacks of 16 KiB suffice", small_stacks, QUICK),
};

const struct area threadexit_area = AREA("threadexit", rows);
