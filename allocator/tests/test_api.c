/* api: what glibc's documentation promises of malloc and its family. */
#include "base/os.h"
#include "base/sizeclass.h"
#include "hakmem.h"
#include "parcel.h"

#include <errno.h>

/* Around every border between boxes, and around powers of two. */
static size_t sizes[200];
static int size_count;

__attribute__((constructor)) static void list_sizes(void) {
    static const size_t borders[] = {TINY_MAX,  8 * KIB, SMALL_MAX, POOL_MAX,
                                     LARGE_MAX, 5 * MIB, 32 * MIB};
    for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
        for (int k = -1; k <= 1; k++) {
            sizes[size_count++] = borders[i] + (size_t)k;
        }
    }
    for (size_t power = 1; power <= 256 * KIB; power *= 4) {
        for (int k = -1; k <= 1; k++) {
            sizes[size_count++] = power + (size_t)k;
        }
    }
}

static bool all_zero(const unsigned char *at, size_t bytes) {
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

PROMISE(every_block_is_aligned_to_16_and_as_large_as_asked) {
    for (int i = 0; i < size_count; i++) {
        struct parcel one = parcel_make(sizes[i], 1, 1), two = parcel_make(sizes[i], 2, 1);
        CHECK_EQUAL((uintptr_t)one.block % 16, 0);
        CHECK_EQUAL((uintptr_t)two.block % 16, 0);
        CHECK(hak_usable_size(one.block) >= sizes[i]);
        parcel_end(&one);
        parcel_end(&two);
    }
}

PROMISE(all_usable_bytes_can_be_written_without_touching_a_neighbour) {
    for (int i = 0; i < size_count && sizes[i] <= LARGE_MAX + 1; i++) {
        struct parcel parcels[12];
        for (uint32_t k = 0; k < 12; k++) {
            void *block = hak_malloc(sizes[i]);
            CHECK(block != NULL);
            parcels[k] = (struct parcel){block, hak_usable_size(block), k, 7};
            parcel_fill(&parcels[k]);
        }
        for (int k = 0; k < 12; k++) {
            parcel_end(&parcels[k]);
        }
    }
}

PROMISE(zero_bytes_are_unique_blocks_and_null_is_freed_and_measured_as_nothing) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = i % 2 ? hak_malloc(0) : hak_calloc(0, 7);
        CHECK(blocks[i] != NULL);
        for (int k = 0; k < i; k++) {
            CHECK(blocks[i] != blocks[k]);
        }
    }
    for (int i = 0; i < 100; i++) {
        hak_free(blocks[i]);
    }
    hak_free(NULL);
    hak_free_sized(NULL, 10);
    hak_free_aligned_sized(NULL, 16, 10);
    CHECK_EQUAL(hak_usable_size(NULL), 0);
}

PROMISE(realloc_of_null_allocates_and_to_zero_frees) {
    void *block = hak_realloc(NULL, 100);
    CHECK(block != NULL);
    errno = 5;
    CHECK(hak_realloc(block, 0) == NULL);
    CHECK_EQUAL(errno, 5);
    block = hak_realloc(NULL, 0);
    CHECK(block != NULL);
    hak_free(block);
}

PROMISE(realloc_keeps_contents_between_all_pairs_of_sizes) {
    for (int from = 0; from < size_count; from++) {
        for (int to = 0; to < size_count; to++) {
            if (sizes[to] == 0 ||
                ((sizes[from] > 4 * MIB || sizes[to] > 4 * MIB) && (to + from) % 9 != 0)) {
                continue;
            }
            struct parcel parcel = parcel_make(sizes[from], 3, (uint32_t)to);
            unsigned char *moved = hak_realloc(parcel.block, sizes[to]);
            CHECK(moved != NULL);
            CHECK_EQUAL((uintptr_t)moved % 16, 0);
            CHECK(hak_usable_size(moved) >= sizes[to]);
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            /* The middle of the largest is covered by sampling elsewhere; here their start. */
            parcel_check_at(&parcel, moved, kept < 300000 ? kept : 300000);
            hak_free(moved);
        }
    }
}

PROMISE(realloc_keeps_the_contents_of_aligned_blocks) {
    for (size_t alignment = 32; alignment <= 4 * MIB; alignment *= 8) {
        for (int i = 0; i < size_count; i += 3) {
            struct parcel parcel = {hak_memalign(alignment, 3000), 3000, 1, (uint32_t)i};
            CHECK(parcel.block != NULL);
            parcel_fill(&parcel);
            size_t size = sizes[i] + 1;
            unsigned char *moved = hak_realloc(parcel.block, size);
            CHECK(moved != NULL);
            parcel_check_at(&parcel, moved, size < 3000 ? size : 3000);
            hak_free(moved);
        }
    }
}

PROMISE(calloc_is_zero_also_on_reused_memory) {
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < size_count; i++) {
            unsigned char *block = hak_calloc(1, sizes[i]);
            CHECK(block != NULL);
            CHECK(all_zero(block, sizes[i]));
            memset(block, 0xff, hak_usable_size(block));
            hak_free(block);
        }
    }
}

PROMISE(errno_is_untouched_by_success_and_by_free) {
    for (int i = 0; i < size_count; i++) {
        errno = 1234;
        void *block = hak_malloc(sizes[i]);
        block = hak_realloc(block, sizes[i] * 2 + 1);
        hak_free(block);
        block = hak_calloc(3, sizes[i] / 3 + 1);
        hak_free(block);
        block = hak_memalign(4096, sizes[i]);
        CHECK(hak_usable_size(block) >= sizes[i]);
        hak_free_sized(block, sizes[i]);
        CHECK_EQUAL(errno, 1234);
    }
    hak_trim();
    CHECK_EQUAL(errno, 1234);
}

PROMISE(sizes_that_cannot_be_are_refused_with_enomem_by_every_function) {
    static const size_t enormous[] = {
        SIZE_MAX,          SIZE_MAX - 1,     SIZE_MAX - 15,           SIZE_MAX - 4095,
        SIZE_MAX - 65535,  SIZE_MAX / 2 + 1, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX,
        PTRDIFF_MAX - 4096};
    struct parcel parcel = parcel_make(1000, 5, 5);
    for (size_t i = 0; i < sizeof enormous / sizeof enormous[0]; i++) {
        size_t n = enormous[i];
        void *out = &parcel;
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == NULL);                                                                     \
        CHECK_EQUAL(errno, ENOMEM);                                                                \
    } while (0)
        REFUSED(hak_malloc(n));
        REFUSED(hak_calloc(1, n));
        REFUSED(hak_calloc(n, 2));
        REFUSED(hak_realloc(NULL, n));
        REFUSED(hak_realloc(parcel.block, n));
        REFUSED(hak_reallocarray(parcel.block, n, 3));
        REFUSED(hak_memalign(64, n));
        REFUSED(hak_aligned_alloc(4096, n));
        REFUSED(hak_valloc(n));
        REFUSED(hak_pvalloc(n));
#undef REFUSED
        errno = 99;
        CHECK_EQUAL(hak_posix_memalign(&out, 64, n), ENOMEM);
        CHECK(out == &parcel);
        CHECK_EQUAL(errno, 99);
    }
    errno = 0;
    CHECK(hak_calloc((size_t)1 << 32, (size_t)1 << 32) == NULL && errno == ENOMEM);
    parcel_end(&parcel);
}

static void align_to_powers(unsigned least, unsigned most) {
    for (unsigned shift = least; shift <= most; shift++) {
        size_t alignment = (size_t)1 << shift;
        for (int i = 0; i < size_count; i += shift > 26 ? 9 : 2) {
            errno = 0;
            unsigned char *block = hak_aligned_alloc(alignment, sizes[i]);
            if (block == NULL) {
                CHECK(shift > 30 && errno == ENOMEM);
                continue;
            }
            CHECK_EQUAL((uintptr_t)block % alignment, 0);
            CHECK(hak_usable_size(block) >= sizes[i]);
            if (sizes[i] > 0) {
                block[0] = block[sizes[i] - 1] = 1;
            }
            hak_free_aligned_sized(block, alignment, sizes[i]);
        }
    }
}

PROMISE(aligned_blocks_are_aligned_for_every_power_of_two) {
    align_to_powers(0, 30);
}

PROMISE(alignments_beyond_a_gigabyte_hold_or_are_refused) {
    align_to_powers(31, 62);
}

PROMISE(bad_alignments_are_refused_with_einval) {
    static const size_t bad[] = {0, 3, 24, 4095, SIZE_MAX, ((size_t)1 << 62) + 1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        void *out = &out;
        errno = 0;
        CHECK(hak_aligned_alloc(bad[i], 100) == NULL && errno == EINVAL);
        CHECK_EQUAL(hak_posix_memalign(&out, bad[i], 100), EINVAL);
        CHECK(out == &out);
    }
    void *out = &out;
    CHECK_EQUAL(hak_posix_memalign(&out, 4, 100), EINVAL);
    CHECK(out == &out);
    /* memalign rounds up, as glibc's does. */
    void *block = hak_memalign(24, 100);
    CHECK(block != NULL && (uintptr_t)block % 32 == 0);
    hak_free(block);
    errno = 0;
    CHECK(hak_memalign(SIZE_MAX, 1) == NULL && errno == EINVAL);
}

PROMISE(valloc_and_pvalloc_give_pages) {
    void *block = hak_valloc(1);
    CHECK(block != NULL && (uintptr_t)block % os_page() == 0);
    hak_free(block);
    for (size_t size = 0; size < 3 * os_page(); size += 1000) {
        block = hak_pvalloc(size);
        CHECK(block != NULL && (uintptr_t)block % os_page() == 0);
        CHECK(hak_usable_size(block) >= align_up(size, os_page()));
        hak_free(block);
    }
}

PROMISE(reallocarray_multiplies_and_refuses_what_overflows) {
    struct parcel parcel = parcel_make(600, 6, 6);
    unsigned char *block = hak_reallocarray(parcel.block, 100, 60);
    CHECK(block != NULL && hak_usable_size(block) >= 6000);
    parcel_check_at(&parcel, block, 600);
    errno = 0;
    CHECK(hak_reallocarray(block, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
    hak_free(block);
}

PROMISE(live_blocks_of_mixed_sizes_and_alignments_never_overlap) {
    enum { HELD = 800 };
    static struct parcel held[HELD];
    unsigned long long state = 77;
    for (uint32_t step = 0; step < (SANITIZED ? 3000 : 10000); step++) {
        struct parcel *parcel = &held[check_random(&state) % HELD];
        if (parcel->block != NULL) {
            parcel_end(parcel);
            continue;
        }
        size_t size = parcel_size(&state), shift = check_random(&state) % 40;
        void *block = shift < 14 ? hak_memalign((size_t)1 << shift, size) : hak_malloc(size);
        CHECK(block != NULL);
        *parcel = (struct parcel){block, hak_usable_size(block), 8, step};
        parcel_fill(parcel);
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].block != NULL) {
            parcel_end(&held[i]);
        }
    }
}

PROMISE(a_block_above_4_gib_works) {
    unsigned char *block = hak_malloc(5 * GIB);
    if (block == NULL) {
        CHECK(errno == ENOMEM); /* a machine may refuse it */
        return;
    }
    block[0] = 1;
    block[5 * GIB - 1] = 2;
    CHECK(block[0] == 1 && block[5 * GIB - 1] == 2);
    hak_free(block);
}
