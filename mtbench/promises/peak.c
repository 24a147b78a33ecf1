/* The peak follows what is live: memory freed in one phase, size or block serves the next. */
#include <string.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"

/* Beside what is live: the malloc's own tables and caches. */
enum { ROOM = 32 * MIB };

static size_t before;

static void begin(void) {
    heap.free(heap.malloc(1));
    memory_reset_peak();
    before = memory_resident();
}

/* At most `percent` of the largest live set, and the room. */
static void stays_within(size_t live, size_t percent) {
    size_t peak = memory_peak(), allowed = live / 100 * percent + ROOM;
    size_t grown = peak > before ? peak - before : 0;
    REQUIRE(grown <= allowed, "%zu MiB were resident where at most %zu MiB were live", grown / MIB,
            live / MIB);
    remark("%zu MiB resident where at most %zu MiB were live", grown / MIB, live / MIB);
}

static void *taken(size_t bytes) {
    void *block = heap.malloc(bytes);
    REQUIRE(block != NULL, "malloc(%zu) = NULL", bytes);
    memset(block, 1, bytes);
    return block;
}

/* A buffer that a program needs a little larger each time. */
static void growing_block(void) {
    enum { LARGEST = 30 * MIB, STEP = 700 * KIB };
    begin();
    for (size_t round = 0; round < effort(3, 2); round++) {
        for (size_t bytes = MIB; bytes <= LARGEST; bytes += STEP) {
            heap.free(taken(bytes));
        }
    }
    stays_within(LARGEST, 200);
}

/* And the same way down, several at a time. */
static void shrinking_blocks(void) {
    enum { LARGEST = 24 * MIB, STEP = 1 * MIB, AT_ONCE = 3 };
    void *held[AT_ONCE] = {NULL};
    begin();
    for (size_t round = 0; round < effort(3, 2); round++) {
        for (size_t bytes = LARGEST; bytes >= MIB; bytes -= STEP) {
            void **slot = &held[bytes / STEP % AT_ONCE];
            heap.free(*slot);
            *slot = taken(bytes);
        }
    }
    stays_within((size_t)AT_ONCE * LARGEST, 200);
}

/* What is read into a large buffer and then kept in a small one. */
static void shrunk(size_t count, size_t bytes, size_t kept) {
    void **held = memory_pages(count * sizeof *held);
    memset(held, 0, count * sizeof *held);
    begin();
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.realloc(taken(bytes), kept);
        REQUIRE(held[i] != NULL, "realloc from %zu to %zu bytes = NULL", bytes, kept);
    }
    stays_within(count * kept + bytes, 150);
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
}

static void shrunk_buffers(void) {
    shrunk(20, 18000000, 1500000);
}

static void shrunk_blocks(void) {
    shrunk(1000, 400000, 40000);
}

static void phase(void **held, size_t total, size_t bytes) {
    size_t count = total / bytes;
    for (size_t i = 0; i < count; i++) {
        held[i] = taken(bytes);
    }
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
}

static void phases(const size_t *sizes, size_t count) {
    size_t total = effort(200, 80) * MIB;
    void **held = memory_pages(total / 48 * sizeof *held);
    memset(held, 0, total / 48 * sizeof *held);
    begin();
    for (size_t i = 0; i < count; i++) {
        phase(held, total, sizes[i]);
    }
    stays_within(total, 150);
}

static void mixed_phases(void) {
    static const size_t sizes[] = {80000, 48, 2500000, 700, 250000, 4000, 30000000, 150, 20000};
    phases(sizes, sizeof sizes / sizeof sizes[0]);
}

static void rising_phases(void) {
    static const size_t sizes[] = {64, 500, 3000, 14000, 60000, 400000, 3000000, 20000000};
    phases(sizes, sizeof sizes / sizeof sizes[0]);
}

struct held {
    void *at;
    size_t bytes;
};

/* In each round nine blocks of ten, drawn at random, make place for blocks of other sizes. */
static void drift(void) {
    enum { SMALLEST = 100 };
    size_t total = effort(160, 64) * MIB, live = 0, count = 0, mean = 2 * SMALLEST;
    struct held *held = memory_pages(total / SMALLEST * sizeof *held);
    uint64_t random = 7;
    memset(held, 0, total / SMALLEST * sizeof *held);
    begin();
    for (size_t round = 0; round < effort(40, 24); round++) {
        for (size_t i = count; i-- > 0;) {
            if (random_below(&random, 10) != 0) {
                heap.free(held[i].at);
                live -= held[i].bytes;
                held[i] = held[--count];
            }
        }
        while (live + 2 * mean < total) {
            size_t bytes = mean / 2 + random_below(&random, mean);
            held[count++] = (struct held){taken(bytes), bytes};
            live += bytes;
        }
        mean += mean / 6;
    }
    stays_within(total, 220);
}

static const struct probe rows[] = {
    ROW("growing", "one block at a time, a little larger each: the peak is of one block",
        growing_block, SLOW),
    ROW("shrinking", "three blocks at a time, a little smaller each: the peak is of three",
        shrinking_blocks, SLOW),
    ROW("shrunk-buffers", "large buffers shrunk by realloc keep what they hold, no more",
        shrunk_buffers, SLOW),
    ROW("shrunk-blocks", "blocks of 400 kB shrunk by realloc keep what they hold, no more",
        shrunk_blocks, SLOW),
    ROW("phases", "phases of one size each, all freed between: the peak is that of one phase",
        mixed_phases, SLOW),
    ROW("rising-phases", "the same with ever larger sizes", rising_phases, SLOW),
    ROW("drift", "sizes drift, nine blocks of ten freed at random: the peak follows what is live",
        drift, SLOW),
};

const struct area peak_area = AREA("peak", rows);
