/*
 * Costs do not grow with what is live. Judged by the processor time of a call, among n live things
 * and among many times n: where each call looks at all of them, it grows as n does. The bound is so
 * wide, and a trial repeated where it is passed, that only this can be meant.
 */
#include <string.h>
#include <sys/resource.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"

/* The larger of two trials has TIMES as many. */
enum { TIMES = 16, TRIALS = 3 };

/* How many times as much a call of it may cost: of a mapping's little, as the kernel's work is most
 * of it; of blocks so large that few of them fit the processor's caches and many do not, most. */
static const double MAPPING = 2.5, ALLOWED = 4, LEEWAY = 8;

static double processor_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* work(n) makes a number of calls proportional to n, and returns it. */
static double cost_of_call(size_t (*work)(size_t), size_t n) {
    double began = processor_seconds();
    size_t calls = work(n);
    return (processor_seconds() - began) / (double)calls;
}

static void does_not_grow(size_t (*work)(size_t), size_t most, double allowed) {
    double ratio = 0;
    for (int trial = 0; trial < TRIALS && ratio < 2 * allowed; trial++) {
        double few = 0;
        for (int i = 0; i < TIMES;
             i++) { /* as many calls as among many: no shorter a measurement */
            few += cost_of_call(work, most / TIMES) / TIMES;
        }
        double many = cost_of_call(work, most);
        ratio = many / few;
        if (ratio <= allowed) {
            remark("a call costs %.1f times as much among %d times as many", ratio, TIMES);
            return;
        }
        probe_alive();
    }
    broken("a call costs %.0f times as much among %zu live blocks as among %zu", ratio, most,
           most / TIMES);
}

static void shuffle(void **held, size_t count) {
    uint64_t random = 11;
    for (size_t i = count; i > 1; i--) {
        size_t other = random_below(&random, i);
        void *one = held[i - 1];
        held[i - 1] = held[other];
        held[other] = one;
    }
}

/* Takes n blocks and frees them in random order. Untouched: a malloc that keeps the memory of few
 * blocks, and not that of many, would pay for page faults among many alone. */
static size_t take_and_free(size_t count) {
    size_t bytes = probe_current()->size;
    void **held = memory_pages(count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(bytes);
        REQUIRE(held[i] != NULL, "malloc(%zu) = NULL after %zu blocks", bytes, i);
    }
    shuffle(held, count);
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
    return 2 * count;
}

static void live_huge(void) {
    does_not_grow(take_and_free, effort(100000, 16000), MAPPING);
}

static void live_large(void) {
    does_not_grow(take_and_free, effort(100000, 32000), LEEWAY);
}

static void live_mid(void) {
    does_not_grow(take_and_free, effort(200000, 64000), ALLOWED);
}

/* Replaces blocks at random among many live ones: neither only taking nor only freeing. */
static size_t replace(size_t count) {
    size_t bytes = probe_current()->size;
    void **held = memory_pages(count * sizeof *held);
    uint64_t random = 5;
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(bytes);
    }
    for (size_t i = 0; i < count; i++) {
        void **slot = &held[random_below(&random, count)];
        heap.free(*slot);
        *slot = heap.malloc(bytes + random_below(&random, bytes));
        REQUIRE(*slot != NULL, "malloc = NULL among %zu live blocks", count);
    }
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
    return 4 * count;
}

static void replaced_huge(void) {
    does_not_grow(replace, effort(60000, 16000), ALLOWED);
}

/* Buffers that grow in turn, so that each lies in the way of another. */
enum { BUFFERS = 12, STEP = 64 * KIB };

static size_t grow(size_t steps) {
    char *held[BUFFERS] = {NULL};
    for (size_t step = 1; step <= steps; step++) {
        for (size_t i = 0; i < BUFFERS; i++) {
            held[i] = heap.realloc(held[i], step * STEP);
            REQUIRE(held[i] != NULL, "realloc to %zu KiB = NULL", step * STEP / KIB);
            memset(held[i] + (step - 1) * STEP, (int)i, STEP);
        }
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        REQUIRE(held[i][0] == (char)i && held[i][steps * STEP - 1] == (char)i,
                "a buffer grown to %zu KiB lost a byte", steps * STEP / KIB);
        heap.free(held[i]);
    }
    return steps * BUFFERS;
}

static void growing_buffers(void) {
    does_not_grow(grow, effort(256, 128), ALLOWED);
}

static const struct probe rows[] = {
    {"live-huge", "the cost of a block of 33 MiB does not grow with their number", live_huge, SLOW,
     NULL, 33 * MIB},
    {"live-large", "the cost of a block of 150 kB does not grow with their number", live_large,
     SLOW, NULL, 150000},
    {"live-mid", "the cost of a block of 5000 bytes does not grow with their number", live_mid,
     SLOW, NULL, 5000},
    {"replaced-huge", "nor that of replacing one among many of 33 to 66 MiB", replaced_huge, SLOW,
     NULL, 33 * MIB},
    ROW("steps", "buffers grow in steps of 64 KiB at a cost that their size does not raise",
        growing_buffers, SLOW),
};

const struct area growth_area = AREA("growth", rows);
