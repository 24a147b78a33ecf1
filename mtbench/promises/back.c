/* Memory goes back to the system: within seconds of ordinary activity, at once on malloc_trim. */
#include <stdatomic.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "team.h"

/* "Seconds": long enough for decay in steps, short enough to matter to a service. */
enum { PATIENCE_MS = 8000, STEP_MS = 20 };

static void need_memory(size_t bytes) {
    if (memory_available() < 2 * bytes) {
        inapplicable("needs %zu MiB of free memory", 2 * bytes / MIB);
    }
}

/* What any program does: takes and frees a few blocks of a few sizes now and then. */
static void ordinary_activity(uint64_t *random) {
    void *held[32];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 32; i++) {
            size_t bytes = block_size_draw(random, 64 * KIB);
            held[i] = heap.malloc(bytes);
            if (held[i] != NULL) {
                memset(held[i], 1, bytes);
            }
        }
        for (int i = 0; i < 32; i++) {
            heap.free(held[i]);
        }
    }
}

/* A quarter of what was taken may stay: caches are allowed, hoards are not. */
static void comes_back(size_t before, size_t peak) {
    uint64_t random = 1;
    size_t allowed = before + (peak - before) / 4, now = peak;
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        ordinary_activity(&random);
        now = memory_resident();
        if (now <= allowed) {
            return;
        }
        sleep_milliseconds(STEP_MS);
    }
    broken("of %zu MiB freed, %zu MiB are still resident after %d seconds of activity",
           (peak - before) / MIB, (now - before) / MIB, PATIENCE_MS / 1000);
}

static void one_huge_block(void) {
    size_t bytes = (size_t)256 * MIB, before = memory_resident();
    need_memory(bytes);
    char *block = heap.malloc(bytes);
    REQUIRE(block != NULL, "malloc(256 MiB) = NULL");
    memset(block, 1, bytes);
    size_t peak = memory_resident();
    heap.free(block);
    comes_back(before, peak);
}

static void **fill(size_t count, size_t bytes) {
    void **held = memory_pages(count * sizeof *held);
    memset(held, 0, count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(bytes);
        REQUIRE(held[i] != NULL, "malloc(%zu) = NULL after %zu blocks", bytes, i);
        memset(held[i], 1, bytes);
    }
    return held;
}

static void drain(void **held, size_t count) {
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
}

static void many(size_t count, size_t bytes) {
    need_memory(count * bytes);
    memset(memory_pages(count * sizeof(void *)), 1, 1);
    size_t before = memory_resident() + count * sizeof(void *);
    void **held = fill(count, bytes);
    size_t peak = memory_resident();
    drain(held, count);
    comes_back(before, peak);
}

static void two_million_small(void) {
    many(effort(2000000, 1000000), 96);
}

static void many_mid(void) {
    many(effort(60000, 30000), 5000);
}

static void many_large(void) {
    many(effort(1500, 700), 200 * KIB);
}

static void at_once_by_trim(void) {
    size_t count = effort(2000000, 1000000), bytes = 96;
    need_memory(count * bytes);
    size_t before = memory_resident() + count * sizeof(void *);
    void **held = fill(count, bytes);
    size_t peak = memory_resident();
    drain(held, count);
    heap.malloc_trim(0);
    size_t now = memory_resident();
    REQUIRE(now <= before + (peak - before) / 4,
            "of %zu MiB freed, %zu MiB are resident after malloc_trim(0)", (peak - before) / MIB,
            (now - before) / MIB);
}

/* Keeps one block in `every`, and frees the others; trim gives back what lies between. Newer blocks
 * stay but for one in 32, so that their nearly full pages stand before the nearly empty ones. */
static void survivors(size_t bytes, size_t every, size_t newer) {
    size_t total = effort(240, 120) * MIB, count = total / bytes;
    need_memory(total + newer * bytes);
    size_t tables = (count + newer) * sizeof(void *), before = memory_resident() + tables;
    void **held = fill(count, bytes), **full = newer > 0 ? fill(newer, bytes) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (i % every != 0) {
            heap.free(held[i]);
        }
    }
    for (size_t i = 0; i < newer; i += 32) {
        heap.free(full[i]);
    }
    heap.malloc_trim(0);
    /* A survivor holds a page, and those beside it a little. */
    size_t allowed = before + count / every * 2 * memory_page() + newer * bytes + 16 * MIB;
    size_t now = memory_resident();
    REQUIRE(now <= allowed, "one block in %zu stayed of %zu MiB: %zu MiB resident after trim",
            every, total / MIB, (now - before) / MIB);
}

static void few_small_survivors(void) {
    survivors(64, 1000, 0);
}

static void survivors_behind_full_ones(void) {
    survivors(1000, 60, 40000);
}

struct hand_over {
    void **held;
    size_t count, bytes;
};

static void *drain_in_thread(void *argument) {
    struct hand_over *over = argument;
    drain(over->held, over->count);
    return NULL;
}

static void freed_elsewhere(void) {
    struct hand_over over = {.count = effort(1000000, 500000), .bytes = 200};
    need_memory(over.count * over.bytes);
    size_t before = memory_resident() + over.count * sizeof(void *);
    over.held = fill(over.count, over.bytes);
    size_t peak = memory_resident();
    thread_join(thread_start(drain_in_thread, &over));
    comes_back(before, peak);
}

static void *fill_and_drain(void *argument) {
    struct hand_over *over = argument;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < over->count; i++) {
            over->held[i] = heap.malloc(over->bytes);
            memset(over->held[i], 1, over->bytes);
        }
        drain(over->held, over->count);
    }
    return NULL;
}

static void threads_of_the_past(void) {
    struct hand_over over = {.count = 100000, .bytes = 500};
    need_memory(over.count * over.bytes);
    over.held = memory_pages(over.count * sizeof(void *));
    memset(over.held, 0, over.count * sizeof(void *));
    size_t before = memory_resident();
    for (int i = 0; i < 6; i++) {
        thread_join(thread_start(fill_and_drain, &over));
    }
    size_t peak = before + over.count * over.bytes;
    comes_back(before, peak);
}

/* Threads that worked and now wait for more: a pool between two bursts. Each uses many sizes, since
 * what a thread keeps is often so much of each. */
enum { SLEEPERS = 16, SLEEPER_BYTES = 4 * MIB, SLEEPER_SIZES = 16 };

struct sleeper {
    void **held;
    _Atomic int *asleep, *wake;
};

static size_t sleeper_size(size_t i) {
    return 240 + i % SLEEPER_SIZES * 500;
}

static size_t sleeper_blocks(void) {
    return SLEEPER_BYTES / sleeper_size(SLEEPER_SIZES / 2);
}

static void burst(void **held) {
    for (size_t i = 0; i < sleeper_blocks(); i++) {
        held[i] = heap.malloc(sleeper_size(i));
        memset(held[i], 1, sleeper_size(i));
    }
    drain(held, sleeper_blocks());
}

static void *work_and_sleep(void *argument) {
    struct sleeper *sleeper = argument;
    for (int round = 0; round < 20; round++) {
        burst(sleeper->held);
    }
    atomic_fetch_add(sleeper->asleep, 1);
    while (!atomic_load(sleeper->wake)) {
        sleep_milliseconds(STEP_MS);
    }
    burst(sleeper->held);
    return NULL;
}

static void sleeping_threads(void) {
    struct sleeper sleepers[SLEEPERS];
    pthread_t threads[SLEEPERS];
    _Atomic int asleep = 0, wake = 0;
    size_t table = sleeper_blocks() * sizeof(void *);
    need_memory(SLEEPERS * SLEEPER_BYTES);
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){memory_pages(table), &asleep, &wake};
        memset(sleepers[i].held, 0, table);
    }
    size_t before = memory_resident();
    for (int i = 0; i < SLEEPERS; i++) {
        threads[i] = thread_start(work_and_sleep, &sleepers[i]);
    }
    while (atomic_load(&asleep) < SLEEPERS) {
        sleep_milliseconds(STEP_MS);
    }
    comes_back(before, before + (size_t)SLEEPERS * SLEEPER_BYTES);
    atomic_store(&wake, 1);
    for (int i = 0; i < SLEEPERS; i++) {
        thread_join(threads[i]);
    }
}

/* The same memory serves another size: what was freed must not be kept for its class alone. */
static void reused_by_other_sizes(void) {
    size_t total = effort(128, 64) * MIB;
    need_memory(total);
    static const size_t sizes[] = {48, 1000, 5000, 30000, 100000, 700000};
    size_t before = memory_resident(), peak = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t count = total / sizes[s];
        void **held = fill(count, sizes[s]);
        size_t now = memory_resident();
        peak = now > peak ? now : peak;
        drain(held, count);
        heap.malloc_trim(0);
    }
    size_t tables = total / 48 * 2 * sizeof(void *);
    REQUIRE(peak < before + 2 * total + tables,
            "six sizes in turn, %zu MiB each, made %zu MiB resident", total / MIB,
            (peak - before) / MIB);
}

static const struct probe rows[] = {
    ROW("huge-block", "after freeing a 256 MiB block resident memory comes back", one_huge_block,
        SLOW),
    ROW("small-blocks", "after freeing two million small blocks resident memory comes back",
        two_million_small, SLOW),
    ROW("mid-blocks", "after freeing 300 MB of 5000-byte blocks resident memory comes back",
        many_mid, SLOW),
    ROW("large-blocks", "after freeing 300 MB of 200 KiB blocks resident memory comes back",
        many_large, SLOW),
    ROW("trim", "malloc_trim(0) gives freed small blocks back at once", at_once_by_trim, SLOW),
    ROW("trim-survivors", "malloc_trim gives back all but the pages of one 64-byte block in 1000",
        few_small_survivors, SLOW),
    ROW("trim-behind-full", "and of one block in 60 of 1000 bytes, behind 40 000 newer ones",
        survivors_behind_full_ones, SLOW),
    ROW("freed-elsewhere", "memory freed by another thread, now dead, comes back", freed_elsewhere,
        SLOW),
    ROW("dead-threads", "what threads used does not stay after their end", threads_of_the_past,
        SLOW),
    ROW("sleeping-threads", "what threads freed before they fell asleep comes back",
        sleeping_threads, SLOW),
    ROW("other-sizes", "memory freed in one size serves the others", reused_by_other_sizes, SLOW),
};

const struct area back_area = AREA("back", rows);
