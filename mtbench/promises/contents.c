/* What blocks hold: zeros from calloc, always; the old bytes after realloc, always. */
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"

enum { SLOTS = 64 };

static void dirty(size_t bytes, size_t blocks) {
    void *held[SLOTS];
    if (blocks > SLOTS) {
        blocks = SLOTS;
    }
    for (size_t i = 0; i < blocks; i++) {
        held[i] = heap.malloc(bytes);
        REQUIRE(held[i] != NULL, "malloc(%zu) = NULL", bytes);
        memset(held[i], 0xa5, heap.malloc_usable_size(held[i]));
    }
    for (size_t i = 0; i < blocks; i++) {
        heap.free(held[i]);
    }
}

static void zeroed(size_t count, size_t each) {
    unsigned char *block = heap.calloc(count, each);
    size_t bytes = count * each;
    REQUIRE(block != NULL, "calloc(%zu, %zu) = NULL", count, each);
    size_t wrong = pattern_constant(block, bytes, 0);
    REQUIRE(wrong == bytes, "calloc(%zu, %zu): byte %zu is %#x", count, each, wrong, block[wrong]);
    memset(block, 0xa5, bytes);
    heap.free(block);
}

static void calloc_small(void) {
    for (size_t bytes = 1; bytes <= 4100; bytes++) {
        dirty(bytes, 8);
        for (int i = 0; i < 8; i++) {
            zeroed(1, bytes);
        }
    }
}

static void calloc_every_power(void) {
    for (size_t power = 1024; power <= (size_t)32 * MIB; power *= 2) {
        for (size_t bytes = power - 1; bytes <= power + 1; bytes++) {
            dirty(bytes, 2);
            zeroed(1, bytes);
            zeroed(bytes, 1);
        }
    }
}

/* A dirty block of one size comes back as another: split, merged, purged. */
static void calloc_after_other_sizes(void) {
    uint64_t random = 5;
    for (size_t round = 0; round < effort(6000, 1500); round++) {
        dirty(block_size_draw(&random, round % 50 == 0 ? 8 * MIB : 256 * KIB),
              1 + random_below(&random, 16));
        zeroed(1, block_size_draw(&random, round % 50 == 0 ? 8 * MIB : 256 * KIB));
        zeroed(1 + random_below(&random, 100), 1 + random_below(&random, 100));
    }
}

static void calloc_after_trim(void) {
    for (size_t bytes = 100; bytes < 4 * MIB; bytes = bytes * 3 + 1) {
        dirty(bytes, 32);
        heap.malloc_trim(0);
        for (int i = 0; i < 32; i++) {
            zeroed(1, bytes);
        }
    }
}

static void realloc_pairs(void) {
    uint64_t random = 7;
    for (size_t round = 0; round < effort(60, 10); round++) {
        for (int from = 0; from < RANGES; from++) {
            for (int to = 0; to < RANGES; to++) {
                struct block block;
                block_take(&block, BY_MALLOC, range_draw(&random, (enum range)from), 1);
                block_resize(&block, range_draw(&random, (enum range)to), 2);
                block_resize(&block, range_draw(&random, (enum range)from), 3);
                block_drop(&block);
            }
        }
    }
}

static void realloc_of_aligned(void) {
    uint64_t random = 8;
    for (size_t round = 0; round < effort(20, 5); round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            for (int from = 0; from < RANGES; from++) {
                for (int to = 0; to < RANGES; to++) {
                    struct block block;
                    block_take(&block, (enum kind)kind, range_draw(&random, (enum range)from), 1);
                    block_resize(&block, range_draw(&random, (enum range)to), 2);
                    block_drop(&block);
                }
            }
        }
    }
}

static void realloc_step(size_t first, size_t last, size_t step) {
    struct block block;
    block_take(&block, BY_MALLOC, first, 1);
    for (size_t bytes = first; bytes <= last; bytes += step) {
        block_resize(&block, bytes, 1);
    }
    for (size_t bytes = last; bytes > first + step; bytes -= step) {
        block_resize(&block, bytes, 1);
    }
    block_drop(&block);
}

static void realloc_by_one(void) {
    realloc_step(1, 5000, 1);
    realloc_step(30000, 36000, 7);
    realloc_step(1000000, 1100000, 4099);
}

/* Realloc with neighbours, so that growing in place is sometimes possible and sometimes not. */
static void realloc_among_others(void) {
    struct block slots[SLOTS] = {0};
    uint64_t random = 9;
    for (size_t round = 0; round < effort(60000, 12000); round++) {
        struct block *block = &slots[random_below(&random, SLOTS)];
        size_t bytes = block_size_draw(&random, 128 * KIB);
        if (block->at == NULL) {
            block_take(block, BY_MALLOC, bytes, 1);
        } else if (random_below(&random, 4) == 0) {
            block_drop(block);
        } else {
            block_resize(block, bytes, 1);
        }
    }
    for (size_t i = 0; i < SLOTS; i++) {
        block_drop(&slots[i]);
    }
}

/* A copy has both blocks resident at once; a remapping has one. */
static void huge_remap(void) {
    size_t bytes = (size_t)64 * MIB;
    struct block block;
    block_take(&block, BY_MALLOC, bytes, 1);
    void *fence = heap.malloc(bytes); /* in the way of growing in place, if it lies above */
    memory_reset_peak();
    size_t before = memory_resident();
    unsigned char *moved = heap.realloc(block.at, 2 * bytes);
    size_t peak = memory_peak();
    REQUIRE(moved != NULL, "realloc from 64 to 128 MiB = NULL");
    size_t wrong = pattern_check(moved, bytes, block.key);
    REQUIRE(wrong == bytes, "realloc from 64 to 128 MiB lost byte %zu", wrong);
    REQUIRE(peak < before + bytes / 2,
            "realloc from 64 to 128 MiB copied: resident memory rose by %zu MiB",
            (peak - before) / MIB);
    heap.free(moved);
    heap.free(fence);
}

static void huge_shrink(void) {
    for (size_t bytes = (size_t)48 * MIB; bytes > 100; bytes /= 3) {
        struct block block;
        block_take(&block, BY_MALLOC, bytes, 1);
        block_resize(&block, bytes / 2 + 1, 1);
        block_resize(&block, bytes / 7 + 1, 1);
        block_resize(&block, 1, 1);
        block_drop(&block);
    }
}

static const struct probe rows[] = {
    ROW("calloc-small", "calloc is zero on reused memory of every size to 4 KiB", calloc_small,
        QUICK),
    ROW("calloc-powers", "calloc is zero on reused memory around every power of two to 32 MiB",
        calloc_every_power, SLOW),
    ROW("calloc-mixed", "calloc is zero on memory that was another size before",
        calloc_after_other_sizes, SLOW),
    ROW("calloc-trimmed", "calloc is zero after malloc_trim", calloc_after_trim, QUICK),
    ROW("realloc-pairs", "realloc keeps min(old, new) bytes for every pair of size ranges",
        realloc_pairs, SLOW),
    ROW("realloc-aligned", "realloc keeps the bytes of aligned blocks", realloc_of_aligned, SLOW),
    ROW("realloc-by-one", "realloc growing and shrinking in small steps keeps the bytes",
        realloc_by_one, SLOW),
    ROW("realloc-neighbours", "realloc among live neighbours keeps everybody's bytes",
        realloc_among_others, QUICK),
    ROW("huge-remap", "a huge block grows by remapping, not by copying", huge_remap, QUICK),
    ROW("huge-shrink", "shrinking huge blocks keeps the bytes", huge_shrink, QUICK),
};

const struct area contents_area = AREA("contents", rows);
