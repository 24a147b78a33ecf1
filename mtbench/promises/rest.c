/* Memory goes back when the program rests: no call of malloc, or none that leaves its caches. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "plugins.h"
#include "process.h"
#include "team.h"

/* What is freed before the rest; what may stay; how long a rest is. */
enum { FREED = 320 * MIB, MAY_STAY = 32 * MIB, PATIENCE_MS = 10000, STEP_MS = 50 };

static void nothing(void) {}

/* A block of each of some sizes, taken and freed over and over. */
static void cached_work(void) {
    for (size_t call = 0; call < 20000; call++) {
        char *block = heap.malloc(16 + call % 40 * 24);
        REQUIRE(block != NULL, "malloc of a small block = NULL");
        block[0] = 1;
        heap.free(block);
    }
}

static void comes_to_rest(size_t before, void (*meanwhile)(void)) {
    size_t now = memory_resident();
    for (int waited = 0; now > before + MAY_STAY && waited < PATIENCE_MS; waited += STEP_MS) {
        meanwhile();
        sleep_milliseconds(STEP_MS);
        now = memory_resident();
    }
    REQUIRE(now <= before + MAY_STAY,
            "of %d MiB freed, %zu MiB are still resident after %d seconds of rest", FREED / MIB,
            (now - before) / MIB, PATIENCE_MS / 1000);
}

/* Takes so many blocks of a size; the table counts as resident before. */
static void **take(size_t count, size_t bytes) {
    void **held = memory_pages(count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(bytes);
        REQUIRE(held[i] != NULL, "malloc(%zu) = NULL after %zu blocks", bytes, i);
        memset(held[i], 1, bytes);
    }
    return held;
}

static void release(void **held, size_t count) {
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
}

/* Takes so much in blocks of a size, then frees it. */
static void use(size_t total, size_t bytes) {
    release(take(total / bytes, bytes), total / bytes);
}

static void need_memory(void) {
    if (memory_available() < 2 * (size_t)FREED) {
        inapplicable("needs %d MiB of free memory", 2 * FREED / MIB);
    }
}

static void use_and_rest(void (*meanwhile)(void)) {
    size_t before = memory_resident();
    need_memory();
    use(FREED, probe_current()->size);
    comes_to_rest(before, meanwhile);
}

static void asleep(void) {
    use_and_rest(nothing);
}

static void busy_in_cache(void) {
    use_and_rest(cached_work);
}

enum { THREADS = 8 };

static atomic_size_t taken, done;
static atomic_int over;

static void *use_and_wait(void *argument) {
    (void)argument;
    size_t bytes = probe_current()->size, count = FREED / THREADS / bytes;
    void **held = take(count, bytes);
    atomic_fetch_add(&taken, 1);
    while (atomic_load(&taken) < THREADS) {
        sleep_milliseconds(STEP_MS);
    }
    release(held, count);
    atomic_fetch_add(&done, 1);
    while (!atomic_load(&over)) {
        sleep_milliseconds(STEP_MS);
    }
    return NULL;
}

/* All of the threads that freed, once all had taken, sleep, and so does the one that looks. */
static void pool_asleep(void) {
    pthread_t threads[THREADS];
    size_t before = memory_resident();
    need_memory();
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = thread_start(use_and_wait, NULL);
    }
    while (atomic_load(&done) < THREADS) {
        sleep_milliseconds(STEP_MS);
    }
    comes_to_rest(before, nothing);
    atomic_store(&over, 1);
    for (size_t i = 0; i < THREADS; i++) {
        thread_join(threads[i]);
    }
}

/* What any program does when it goes on: leaves the caches now and then. */
static void ordinary_work(void) {
    void *held[400];
    for (size_t i = 0; i < 400; i++) {
        held[i] = heap.malloc(3000 + i * 12);
        REQUIRE(held[i] != NULL, "malloc = NULL");
        memset(held[i], 1, 3000);
    }
    for (size_t i = 0; i < 400; i++) {
        heap.free(held[i]);
    }
}

/* A machine that slept, or a process that was stopped: for the malloc all its memory is of another
 * month. Ages in milliseconds pass 2^31 after 25 days, 2^32 after 50. */
static void days_arm(void) {
    static const long days[] = {1, 26, 51};
    atomic_long *ahead = heap_symbol("probe_clock_ahead");
    REQUIRE(ahead != NULL, "the library with the clock is not loaded");
    need_memory();
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        size_t before = memory_resident();
        use(FREED, 100000);
        atomic_store(ahead, days[i] * 24 * 3600);
        comes_to_rest(before, ordinary_work);
    }
}

static void clock_first(void) {
    alarm(4 * PATIENCE_MS / 1000);
    plugin_preload_before("hook-clock");
}

static void days(void) {
    arm_decides("rest.days_arm", clock_first);
}

static const struct probe rows[] = {
    {"large-asleep", "a process that freed 320 MiB in blocks of 1 MiB gives them back asleep",
     asleep, SLOW, NULL, MIB},
    {"mid-asleep", "the same with blocks of 20 000 bytes", asleep, SLOW, NULL, 20000},
    {"small-asleep", "the same with blocks of 500 bytes", asleep, SLOW, NULL, 500},
    {"large-cached", "freed blocks of 1 MiB go back though only the cache is at work",
     busy_in_cache, SLOW, NULL, MIB},
    {"small-cached", "freed blocks of 500 bytes go back though only the cache is at work",
     busy_in_cache, SLOW, NULL, 500},
    {"pool-asleep", "eight threads that freed 320 MiB give them back while all sleep", pool_asleep,
     SLOW, NULL, 3000},
    ROW("days", "a clock that jumps by a day, 26 days and 51 days keeps no memory", days, SLOW),
    ROW("days_arm", "", days_arm, HIDDEN),
};

const struct area rest_area = AREA("rest", rows);
