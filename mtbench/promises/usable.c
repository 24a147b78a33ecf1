/* malloc_usable_size: at least what was asked, and every byte of it the caller's. */
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"

enum { LIVE = 2000 };

static void at_least_asked(void) {
    uint64_t random = 21;
    for (size_t round = 0; round < effort(40000, 10000); round++) {
        struct block block;
        enum kind kind = (enum kind)(round % KINDS);
        block_take(&block, kind, block_size_draw(&random, round % 64 == 0 ? 4 * MIB : 16 * KIB), 1);
        size_t usable = heap.malloc_usable_size(block.at);
        REQUIRE(usable >= block.bytes, "%s(%zu) has %zu usable bytes", kind_name(kind), block.bytes,
                usable);
        block_drop(&block);
    }
    for (size_t bytes = 0; bytes <= 4200; bytes++) {
        void *block = heap.malloc(bytes);
        REQUIRE(heap.malloc_usable_size(block) >= bytes, "malloc(%zu) has %zu usable bytes", bytes,
                heap.malloc_usable_size(block));
        heap.free(block);
    }
}

/* Every block is filled to its usable end; a neighbour's bytes would show it. */
static void writable(size_t limit, size_t live, size_t rounds) {
    struct block *blocks = memory_pages(live * sizeof *blocks);
    uint64_t random = 22;
    for (size_t round = 0; round < rounds; round++) {
        struct block *block = &blocks[random_below(&random, live)];
        block_drop(block);
        block_take(block, (enum kind)random_below(&random, KINDS), block_size_draw(&random, limit),
                   1);
        block->bytes = heap.malloc_usable_size(block->at);
        block->key = pattern_key(block->at, block->bytes, 2);
        pattern_fill(block->at, block->bytes, block->key);
    }
    for (size_t i = 0; i < live; i++) {
        block_drop(&blocks[i]);
    }
}

static void writable_small(void) {
    writable(1024, LIVE, effort(100000, 30000));
}

static void writable_large(void) {
    writable(2 * MIB, 64, effort(6000, 1500));
}

static void same_size_neighbours(void) {
    static const size_t sizes[] = {1,    8,    15,   16,   17,    24,    31,    33,    48,
                                   63,   64,   65,   100,  127,   129,   255,   257,   511,
                                   513,  1000, 1023, 1024, 1025,  2047,  2049,  3000,  4095,
                                   4097, 5000, 8191, 8193, 16383, 16385, 32767, 32769, 65537};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct block blocks[64];
        for (size_t i = 0; i < 64; i++) {
            block_take(&blocks[i], BY_MALLOC, sizes[s], 1);
            blocks[i].bytes = heap.malloc_usable_size(blocks[i].at);
            pattern_fill(blocks[i].at, blocks[i].bytes, blocks[i].key);
        }
        for (size_t i = 0; i < 64; i++) {
            block_drop(&blocks[i]);
        }
    }
}

static void kept_by_realloc(void) {
    for (size_t bytes = 1; bytes < 100000; bytes += bytes / 8 + 1) {
        struct block block;
        block_take(&block, BY_MALLOC, bytes, 1);
        size_t usable = heap.malloc_usable_size(block.at);
        block_resize(&block, usable, 1);
        block_resize(&block, usable + 1, 1);
        block_drop(&block);
    }
}

static void of_null(void) {
    REQUIRE(heap.malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL) = %zu",
            heap.malloc_usable_size(NULL));
}

static const struct probe rows[] = {
    ROW("at-least", "malloc_usable_size is at least what was asked, for every kind of block",
        at_least_asked, QUICK),
    ROW("writable-small", "the whole usable size is writable without touching a neighbour",
        writable_small, QUICK),
    ROW("writable-large", "the same to 2 MiB", writable_large, SLOW),
    ROW("neighbours", "neighbours of one size, filled to the end, keep their bytes",
        same_size_neighbours, QUICK),
    ROW("realloc", "realloc to the usable size and one more keeps the bytes", kept_by_realloc,
        QUICK),
    ROW("null", "malloc_usable_size(NULL) is 0", of_null, QUICK),
};

const struct area usable_area = AREA("usable", rows);
