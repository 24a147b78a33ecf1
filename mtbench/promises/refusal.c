/* What must be refused: bad alignments with EINVAL, impossible sizes with NULL and ENOMEM. */
#include <errno.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"

static const size_t not_powers[] = {3, 5, 6, 7, 9, 12, 24, 48, 96, 100, 4095, 4097, SIZE_MAX};

static void posix_memalign_einval(void) {
    static const size_t bad[] = {0, 1, 2, 4, 3, 12, 24, 100, 4095, 4097, (size_t)3 << 40};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *block = NULL;
        int error = heap.posix_memalign(&block, bad[i], 64);
        REQUIRE(error == EINVAL, "posix_memalign(alignment %zu) returned %d, not EINVAL", bad[i],
                error);
    }
}

static void posix_memalign_output(void) {
    char marker;
    void *block = &marker;
    heap.posix_memalign(&block, 3, 64);
    REQUIRE(block == &marker, "posix_memalign with EINVAL wrote its output");
    int error = heap.posix_memalign(&block, 64, SIZE_MAX - 4096);
    REQUIRE(error == ENOMEM, "posix_memalign(64, SIZE_MAX - 4096) returned %d, not ENOMEM", error);
    REQUIRE(block == &marker, "posix_memalign with ENOMEM wrote its output");
}

static void aligned_alloc_einval(void) {
    for (size_t i = 0; i < sizeof not_powers / sizeof not_powers[0]; i++) {
        errno = 0;
        void *block = heap.aligned_alloc(not_powers[i], 64);
        REQUIRE(block == NULL, "aligned_alloc(%zu, 64) gave a block", not_powers[i]);
        REQUIRE(errno == EINVAL, "aligned_alloc(%zu, 64): errno %d, not EINVAL", not_powers[i],
                errno);
    }
}

static void aligned_alloc_any_size(void) {
    for (size_t alignment = 8; alignment <= 8192; alignment *= 2) {
        for (size_t bytes = 1; bytes < 3 * alignment; bytes += alignment / 3 + 1) {
            unsigned char *block = heap.aligned_alloc(alignment, bytes);
            REQUIRE(block != NULL && (uintptr_t)block % alignment == 0,
                    "aligned_alloc(%zu, %zu) = %p", alignment, bytes, (void *)block);
            memset(block, 0x5a, bytes);
            heap.free(block);
        }
    }
}

/* Everything above PTRDIFF_MAX, the ends and the places where rounding up wraps. */
static const size_t impossible[] = {
    (size_t)PTRDIFF_MAX + 1,
    (size_t)PTRDIFF_MAX + 4096,
    SIZE_MAX / 4 * 3,
    SIZE_MAX - 65536,
    SIZE_MAX - 8192,
    SIZE_MAX - 4096,
    SIZE_MAX - 4095,
    SIZE_MAX - 64,
    SIZE_MAX - 16,
    SIZE_MAX - 15,
    SIZE_MAX - 8,
    SIZE_MAX - 1,
    SIZE_MAX,
};
enum { IMPOSSIBLE = sizeof impossible / sizeof impossible[0] };

static void refused(void *block, const char *name, size_t bytes) {
    REQUIRE(block == NULL, "%s(SIZE_MAX - %zu) gave a block", name, SIZE_MAX - bytes);
    REQUIRE(errno == ENOMEM, "%s(SIZE_MAX - %zu): errno %d, not ENOMEM", name, SIZE_MAX - bytes,
            errno);
    errno = 0;
}

static void malloc_impossible(void) {
    errno = 0;
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        refused(heap.malloc(impossible[i]), "malloc", impossible[i]);
    }
}

static void calloc_impossible(void) {
    errno = 0;
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        refused(heap.calloc(1, impossible[i]), "calloc(1, n)", impossible[i]);
        refused(heap.calloc(impossible[i], 1), "calloc(n, 1)", impossible[i]);
        refused(heap.calloc(impossible[i] / 2 + 1, 2), "calloc(n / 2 + 1, 2)", impossible[i]);
        refused(heap.calloc(impossible[i], impossible[i]), "calloc(n, n)", impossible[i]);
    }
}

static void calloc_wraps(void) {
    errno = 0;
    refused(heap.calloc((size_t)1 << 32, (size_t)1 << 32), "calloc(2^32, 2^32)", 0);
    refused(heap.calloc(((size_t)1 << 32) + 1, (size_t)1 << 32), "calloc(2^32 + 1, 2^32)", 0);
    refused(heap.calloc((size_t)1 << 33, ((size_t)1 << 31) + 1), "calloc(2^33, 2^31 + 1)", 0);
}

static void realloc_impossible(void) {
    static const size_t sizes[] = {1, 100, 5000, 100000, 2000000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct block block;
        block_take(&block, BY_MALLOC, sizes[s], 1);
        errno = 0;
        for (size_t i = 0; i < IMPOSSIBLE; i++) {
            refused(heap.realloc(block.at, impossible[i]), "realloc", impossible[i]);
            block_check(&block);
        }
        block_drop(&block);
        for (size_t i = 0; i < IMPOSSIBLE; i++) {
            refused(heap.realloc(NULL, impossible[i]), "realloc(NULL, n)", impossible[i]);
        }
    }
}

static void reallocarray_wraps(void) {
    REQUIRE(heap.reallocarray != NULL, "no library exports reallocarray");
    struct block block;
    block_take(&block, BY_MALLOC, 100, 1);
    errno = 0;
    refused(heap.reallocarray(block.at, (size_t)1 << 32, (size_t)1 << 32), "reallocarray", 0);
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        refused(heap.reallocarray(block.at, impossible[i], 1), "reallocarray(p, n, 1)",
                impossible[i]);
        refused(heap.reallocarray(block.at, impossible[i] / 2 + 1, 2), "reallocarray(p, n/2+1, 2)",
                impossible[i]);
    }
    block_drop(&block);
}

static void memalign_impossible(void) {
    for (size_t alignment = 1; alignment <= (size_t)1 << 30; alignment *= 2) {
        for (size_t i = 0; i < IMPOSSIBLE; i++) {
            errno = 0;
            refused(heap.memalign(alignment, impossible[i]), "memalign", impossible[i]);
            refused(heap.aligned_alloc(alignment, impossible[i]), "aligned_alloc", impossible[i]);
            void *block = NULL;
            if (alignment < sizeof(void *)) {
                continue;
            }
            int error = heap.posix_memalign(&block, alignment, impossible[i]);
            REQUIRE(error == ENOMEM && block == NULL,
                    "posix_memalign(%zu, SIZE_MAX - %zu) returned %d", alignment,
                    SIZE_MAX - impossible[i], error);
        }
    }
}

static void valloc_impossible(void) {
    errno = 0;
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        refused(heap.valloc(impossible[i]), "valloc", impossible[i]);
    }
}

static void pvalloc_impossible(void) {
    REQUIRE(heap.pvalloc != NULL, "no library exports pvalloc");
    errno = 0;
    for (size_t i = 0; i < IMPOSSIBLE; i++) {
        refused(heap.pvalloc(impossible[i]), "pvalloc", impossible[i]);
    }
}

/* Above any address space, below PTRDIFF_MAX: refused by the kernel, not by an overflow check. */
static void beyond_address_space(void) {
    for (unsigned power = 48; power < 63; power++) {
        size_t bytes = (size_t)1 << power;
        errno = 0;
        refused(heap.malloc(bytes), "malloc(2^48..2^62)", bytes);
        refused(heap.calloc(bytes / 16, 16), "calloc(2^48..2^62)", bytes);
        refused(heap.memalign(4096, bytes), "memalign(2^48..2^62)", bytes);
    }
}

static void failed_realloc_keeps(void) {
    static const size_t sizes[] = {1, 24, 500, 5000, 40000, 300000, 5000000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct block block;
            block_take(&block, (enum kind)kind, sizes[s], 1);
            REQUIRE(!block_try_resize(&block, (size_t)1 << 60, 1), "realloc to 2^60 succeeded");
            REQUIRE(!block_try_resize(&block, SIZE_MAX - 100, 1), "realloc to SIZE_MAX - 100");
            block_resize(&block, sizes[s] + 1, 1);
            block_drop(&block);
        }
    }
}

static const struct probe rows[] = {
    ROW("posix_memalign-einval", "posix_memalign: EINVAL for 0, non-powers of two, below a pointer",
        posix_memalign_einval, QUICK),
    ROW("posix_memalign-output", "posix_memalign leaves its output pointer untouched on failure",
        posix_memalign_output, QUICK),
    ROW("aligned_alloc-einval", "aligned_alloc: NULL and EINVAL for a non-power of two",
        aligned_alloc_einval, QUICK),
    ROW("aligned_alloc-any-size", "aligned_alloc: the size need not be a multiple of the alignment",
        aligned_alloc_any_size, QUICK),
    ROW("malloc-impossible", "malloc above PTRDIFF_MAX: NULL and ENOMEM", malloc_impossible, QUICK),
    ROW("calloc-impossible", "calloc above PTRDIFF_MAX: NULL and ENOMEM", calloc_impossible, QUICK),
    ROW("calloc-wraps", "calloc(2^32, 2^32) and like products: NULL and ENOMEM", calloc_wraps,
        QUICK),
    ROW("realloc-impossible", "realloc above PTRDIFF_MAX: NULL and ENOMEM", realloc_impossible,
        QUICK),
    ROW("reallocarray-wraps", "reallocarray refuses wrapping products and keeps the block",
        reallocarray_wraps, QUICK),
    ROW("memalign-impossible", "memalign, aligned_alloc, posix_memalign refuse sizes that wrap",
        memalign_impossible, QUICK),
    ROW("valloc-impossible", "valloc refuses sizes that wrap when rounded", valloc_impossible,
        QUICK),
    ROW("pvalloc-impossible", "pvalloc refuses sizes that wrap when rounded", pvalloc_impossible,
        QUICK),
    ROW("beyond-address-space", "sizes from 2^48 to 2^62: NULL and ENOMEM", beyond_address_space,
        QUICK),
    ROW("failed-realloc", "a failed realloc leaves the block as it was", failed_realloc_keeps,
        QUICK),
};

const struct area refusal_area = AREA("refusal", rows);
