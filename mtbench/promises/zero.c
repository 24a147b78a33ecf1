/* Zero sizes and null pointers, as glibc documents them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"

enum { HELD = 1000 };

static void unique(void *(*take)(void), const char *name) {
    void **held = memory_pages(HELD * sizeof *held);
    for (size_t i = 0; i < HELD; i++) {
        held[i] = take();
        REQUIRE(held[i] != NULL, "%s = NULL", name);
    }
    for (size_t i = 0; i < HELD; i++) {
        for (size_t j = 0; j < i; j++) {
            REQUIRE(held[i] != held[j], "%s gave %p twice", name, held[i]);
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        heap.free(held[i]);
    }
}

static void *malloc_zero(void) {
    return heap.malloc(0);
}

static void *calloc_zero(void) {
    return heap.calloc(0, 8);
}

static void *realloc_zero(void) {
    return heap.realloc(NULL, 0);
}

static void *memalign_zero(void) {
    return heap.memalign(64, 0);
}

static void malloc_unique(void) {
    unique(malloc_zero, "malloc(0)");
}

static void others_unique(void) {
    unique(calloc_zero, "calloc(0, 8)");
    unique(realloc_zero, "realloc(NULL, 0)");
    unique(memalign_zero, "memalign(64, 0)");
    for (size_t i = 0; i < 100; i++) {
        void *block = NULL;
        REQUIRE(heap.posix_memalign(&block, 64, 0) == 0, "posix_memalign(64, 0) failed");
        heap.free(block);
    }
}

static void realloc_of_null(void) {
    uint64_t random = 3;
    for (int i = 0; i < 2000; i++) {
        struct block block;
        block_take(&block, BY_REALLOC, block_size_draw(&random, 4 * MIB), 1);
        block_drop(&block);
    }
}

static void realloc_to_zero(void) {
    static const size_t sizes[] = {1, 24, 1000, 5000, 40000, 300000, 3000000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        void *block = heap.malloc(sizes[s]);
        void *result = heap.realloc(block, 0);
        REQUIRE(result == NULL, "realloc(p, 0) of %zu bytes returned a block", sizes[s]);
    }
    /* And the block is free: a million of 4 KiB would be 4 GiB if it were not. */
    size_t before = memory_resident();
    for (size_t i = 0; i < effort(1000000, 100000); i++) {
        char *block = heap.malloc(4096);
        REQUIRE(block != NULL, "malloc(4096) = NULL after %zu rounds of realloc(p, 0)", i);
        block[0] = 1;
        heap.realloc(block, 0);
    }
    size_t after = memory_resident();
    REQUIRE(after < before + 64 * MIB, "realloc(p, 0) did not free: %zu MiB more resident",
            (after - before) / MIB);
}

static void aligned_to_everything(void) {
    for (int round = 0; round < 3; round++) {
        for (size_t alignment = sizeof(void *); alignment <= (size_t)1 << 30; alignment *= 2) {
            void *block = NULL;
            int error = heap.posix_memalign(&block, alignment, 0);
            REQUIRE(error == 0, "posix_memalign(%zu, 0): %s", alignment, strerror(error));
            REQUIRE((uintptr_t)block % alignment == 0, "posix_memalign(%zu, 0) = %p", alignment,
                    block);
            heap.free(block);
        }
    }
}

static void free_null(void) {
    errno = EEXIST;
    for (int i = 0; i < 1000; i++) {
        heap.free(NULL);
    }
    REQUIRE(errno == EEXIST, "free(NULL) changed errno to %d", errno);
}

static const struct probe rows[] = {
    ROW("malloc-unique", "malloc(0) gives unique blocks that free takes", malloc_unique, QUICK),
    ROW("others-unique", "calloc, realloc and memalign of 0 bytes give unique blocks",
        others_unique, QUICK),
    ROW("realloc-null", "realloc(NULL, n) is malloc(n)", realloc_of_null, QUICK),
    ROW("realloc-zero", "realloc(p, 0) frees and returns NULL", realloc_to_zero, QUICK),
    ROW("every-alignment", "posix_memalign of 0 bytes succeeds at every alignment up to 1 GiB",
        aligned_to_everything, QUICK),
    ROW("free-null", "free(NULL) does nothing", free_null, QUICK),
};

const struct area zero_area = AREA("zero", rows);
