/* Live blocks, taken with their usable size, never overlap. Asked of the addresses themselves. */
#include <stdlib.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "team.h"

struct extent {
    uintptr_t from, to;
};

/* Heap sort in place: qsort may allocate. */
static void sift(struct extent *extents, size_t root, size_t count) {
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && extents[child].from < extents[child + 1].from) {
            child++;
        }
        if (extents[root].from >= extents[child].from) {
            return;
        }
        struct extent swap = extents[root];
        extents[root] = extents[child];
        extents[child] = swap;
    }
}

static void disjoint(struct extent *extents, size_t count) {
    for (size_t i = count / 2; i-- > 0;) {
        sift(extents, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        struct extent swap = extents[0];
        extents[0] = extents[end];
        extents[end] = swap;
        sift(extents, 0, end);
    }
    for (size_t i = 1; i < count; i++) {
        REQUIRE(extents[i - 1].to <= extents[i].from, "blocks overlap: %#zx - %#zx and %#zx - %#zx",
                (size_t)extents[i - 1].from, (size_t)extents[i - 1].to, (size_t)extents[i].from,
                (size_t)extents[i].to);
    }
}

static void churn(size_t live, size_t rounds, size_t limit, size_t alignments) {
    void **slots = memory_pages(live * sizeof *slots);
    struct extent *extents = memory_pages(live * sizeof *extents);
    uint64_t random = 31;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < live; i++) {
            if (random_below(&random, 2) == 0 && slots[i] != NULL) {
                continue;
            }
            heap.free(slots[i]);
            size_t bytes = block_size_draw(&random, limit);
            size_t alignment = (size_t)1 << random_below(&random, alignments);
            slots[i] = alignment == 1 ? heap.malloc(bytes) : heap.memalign(alignment, bytes);
            REQUIRE(slots[i] != NULL, "%zu bytes are refused", bytes);
        }
        for (size_t i = 0; i < live; i++) {
            extents[i].from = (uintptr_t)slots[i];
            extents[i].to = extents[i].from + heap.malloc_usable_size(slots[i]);
        }
        disjoint(extents, live);
    }
    for (size_t i = 0; i < live; i++) {
        heap.free(slots[i]);
    }
}

static void small(void) {
    churn(20000, effort(20, 6), 2048, 1);
}

static void all_sizes(void) {
    churn(3000, effort(20, 6), 4 * MIB, 1);
}

static void aligned(void) {
    churn(3000, effort(20, 6), 256 * KIB, 15);
}

enum { THREADS = 8, EACH = 2000 };

static struct extent *thread_extents;
static void **thread_slots;

static void take_many(size_t index, void *argument) {
    (void)argument;
    uint64_t random = 100 + index;
    for (size_t round = 0; round < 10; round++) {
        for (size_t i = index * EACH; i < (index + 1) * EACH; i++) {
            heap.free(thread_slots[i]);
            size_t bytes = block_size_draw(&random, 16 * KIB);
            thread_slots[i] = heap.malloc(bytes);
            REQUIRE(thread_slots[i] != NULL, "malloc(%zu) = NULL", bytes);
        }
    }
}

static void across_threads(void) {
    thread_extents = memory_pages(THREADS * EACH * sizeof *thread_extents);
    thread_slots = memory_pages(THREADS * EACH * sizeof *thread_slots);
    for (size_t round = 0; round < effort(6, 2); round++) {
        team_run(THREADS, take_many, NULL);
        for (size_t i = 0; i < THREADS * EACH; i++) {
            thread_extents[i].from = (uintptr_t)thread_slots[i];
            thread_extents[i].to =
                thread_extents[i].from + heap.malloc_usable_size(thread_slots[i]);
        }
        disjoint(thread_extents, THREADS * EACH);
    }
}

static const struct probe rows[] = {
    ROW("small", "small live blocks with their usable size never overlap", small, QUICK),
    ROW("all-sizes", "live blocks to 4 MiB never overlap", all_sizes, QUICK),
    ROW("aligned", "live blocks of mixed alignments never overlap", aligned, QUICK),
    ROW("threads", "blocks taken by eight threads never overlap", across_threads, QUICK),
};

const struct area overlap_area = AREA("overlap", rows);
