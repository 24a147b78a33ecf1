/* Where blocks lie: 16 bytes for everything, more on request, for every power of two. */
#include <errno.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"

enum { LAST_POWER = 62, HELD = 4096 };

static void aligned(const struct block *block, enum kind kind) {
    REQUIRE((uintptr_t)block->at % 16 == 0, "%s(%zu) = %p is not 16-byte aligned", kind_name(kind),
            block->bytes, (void *)block->at);
}

/* Blocks are held, not freed at once: the second block of a class is the one that lies wrong.
 * Below 16 bytes is a promise of its own, as many allocators break it. */
static void every_size(enum kind kind) {
    struct block *held = memory_pages(HELD * sizeof *held);
    for (size_t bytes = 16; bytes < HELD; bytes++) {
        block_take(&held[bytes], kind, bytes, 1);
        aligned(&held[bytes], kind);
    }
    for (size_t i = 0; i < HELD; i++) {
        block_drop(&held[i]);
    }
    for (size_t power = 4096; power <= (size_t)16 * MIB; power *= 2) {
        for (size_t bytes = power - 1; bytes <= power + 1; bytes++) {
            struct block pair[2];
            for (int i = 0; i < 2; i++) {
                block_take(&pair[i], kind, bytes, 1);
                aligned(&pair[i], kind);
            }
            block_drop(&pair[0]);
            block_drop(&pair[1]);
        }
    }
}

static void malloc_every_size(void) {
    every_size(BY_MALLOC);
}

static void calloc_every_size(void) {
    every_size(BY_CALLOC);
}

static void realloc_every_size(void) {
    every_size(BY_REALLOC);
}

static void below_sixteen(void) {
    for (size_t i = 0; i < 4096; i++) {
        struct block block;
        enum kind kind = (enum kind)(i % 3); /* malloc, calloc, realloc */
        block_take(&block, kind, i % 15 + 1, 1);
        aligned(&block, kind);
        if (i % 4 == 0) {
            block_drop(&block);
        }
    }
}

static void *by_memalign(size_t alignment, size_t bytes) {
    return heap.memalign(alignment, bytes);
}

static void *by_posix_memalign(size_t alignment, size_t bytes) {
    void *block = NULL;
    if (alignment < sizeof(void *)) {
        return heap.malloc(bytes); /* those it must refuse; see the refusal area */
    }
    errno = heap.posix_memalign(&block, alignment, bytes);
    return errno == 0 ? block : NULL;
}

static void *by_aligned_alloc(size_t alignment, size_t bytes) {
    return heap.aligned_alloc(alignment, bytes);
}

/* Right or refused, never wrong. Up to 1 GiB address space is plenty: then it must be right. */
static void every_power(void *(*take)(size_t, size_t), const char *name) {
    static const size_t sizes[] = {1, 24, 100, 1000, 5000, 40000, 300000, 3000000};
    for (unsigned power = 0; power <= LAST_POWER; power++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            size_t alignment = (size_t)1 << power, bytes = sizes[s];
            errno = 0;
            unsigned char *block = take(alignment, bytes);
            if (block == NULL) {
                REQUIRE(errno == ENOMEM, "%s(2^%u, %zu) refused with errno %d, not ENOMEM", name,
                        power, bytes, errno);
                REQUIRE(power > 30, "%s(2^%u, %zu) is refused", name, power, bytes);
                continue;
            }
            REQUIRE((uintptr_t)block % alignment == 0, "%s(2^%u, %zu) = %p is misaligned", name,
                    power, bytes, (void *)block);
            size_t usable = heap.malloc_usable_size(block);
            REQUIRE(usable >= bytes, "%s(2^%u, %zu) has %zu usable bytes", name, power, bytes,
                    usable);
            memset(block, 0x5a, bytes);
            heap.free(block);
        }
    }
}

static void memalign_powers(void) {
    every_power(by_memalign, "memalign");
}

static void posix_memalign_powers(void) {
    every_power(by_posix_memalign, "posix_memalign");
}

static void aligned_alloc_powers(void) {
    every_power(by_aligned_alloc, "aligned_alloc");
}

static void many_aligned_live(void) {
    enum { LIVE = 512 };
    struct {
        unsigned char *at;
        size_t bytes;
        uint64_t key;
    } *live = memory_pages(LIVE * sizeof *live);
    uint64_t random = 11;
    for (size_t round = 0; round < effort(40000, 8000); round++) {
        size_t slot = random_below(&random, LIVE);
        if (live[slot].at != NULL) {
            size_t wrong = pattern_check(live[slot].at, live[slot].bytes, live[slot].key);
            REQUIRE(wrong == live[slot].bytes, "aligned block of %zu bytes: byte %zu changed",
                    live[slot].bytes, wrong);
            heap.free(live[slot].at);
        }
        size_t alignment = (size_t)1 << random_below(&random, 17);
        size_t bytes = block_size_draw(&random, 64 * KIB);
        unsigned char *at = heap.memalign(alignment, bytes);
        REQUIRE(at != NULL && (uintptr_t)at % alignment == 0, "memalign(%zu, %zu) = %p", alignment,
                bytes, (void *)at);
        live[slot].at = at;
        live[slot].bytes = bytes;
        live[slot].key = pattern_key(at, bytes, 1);
        pattern_fill(at, bytes, live[slot].key);
    }
    for (size_t slot = 0; slot < LIVE; slot++) {
        heap.free(live[slot].at);
    }
}

static void valloc_pages(void) {
    for (size_t bytes = 0; bytes < 20000; bytes += 13) {
        void *block = heap.valloc(bytes);
        REQUIRE(block != NULL && (uintptr_t)block % memory_page() == 0, "valloc(%zu) = %p", bytes,
                block);
        heap.free(block);
    }
}

static void pvalloc_rounds_up(void) {
    REQUIRE(heap.pvalloc != NULL, "no library exports pvalloc");
    size_t page = memory_page();
    for (size_t bytes = 1; bytes < 20000; bytes += 13) {
        unsigned char *block = heap.pvalloc(bytes);
        REQUIRE(block != NULL && (uintptr_t)block % page == 0, "pvalloc(%zu) = %p", bytes,
                (void *)block);
        size_t rounded = (bytes + page - 1) / page * page, usable = heap.malloc_usable_size(block);
        REQUIRE(usable >= rounded, "pvalloc(%zu): %zu usable bytes, not %zu", bytes, usable,
                rounded);
        memset(block, 0x5a, rounded);
        heap.free(block);
    }
}

static const struct probe rows[] = {
    ROW("malloc-every-size", "malloc: every block of any size is 16-byte aligned",
        malloc_every_size, QUICK),
    ROW("calloc-every-size", "calloc: every block of any size is 16-byte aligned",
        calloc_every_size, QUICK),
    ROW("realloc-every-size", "realloc: every block of any size is 16-byte aligned",
        realloc_every_size, QUICK),
    ROW("below-sixteen", "blocks below 16 bytes are 16-byte aligned too", below_sixteen, QUICK),
    ROW("memalign-powers", "memalign: every power of two to 2^62 is right or refused with ENOMEM",
        memalign_powers, QUICK),
    ROW("posix_memalign-powers",
        "posix_memalign: every power of two to 2^62 is right or refused with ENOMEM",
        posix_memalign_powers, QUICK),
    ROW("aligned_alloc-powers",
        "aligned_alloc: every power of two to 2^62 is right or refused with ENOMEM",
        aligned_alloc_powers, QUICK),
    ROW("many-live", "aligned blocks of all sizes live together and keep their bytes",
        many_aligned_live, QUICK),
    ROW("valloc", "valloc is page-aligned", valloc_pages, QUICK),
    ROW("pvalloc", "pvalloc is page-aligned and rounds the size up to pages", pvalloc_rounds_up,
        QUICK),
};

const struct area alignment_area = AREA("alignment", rows);
