/* huge: blocks that are mappings of their own. */
#include "boxes/elo.h"
#include "boxes/huge.h"
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"
#include "refuse.h"
#include "tables/superreg.h"

#define SIZE (elo_threshold() + 12345)

static struct huge_stats stats_now(void) {
    struct huge_stats stats;
    huge_stats(&stats);
    return stats;
}

PROMISE(a_block_above_the_threshold_is_a_mapping_and_one_below_is_not) {
    struct huge_stats before = stats_now();
    void *below = hak_malloc(elo_threshold()), *above = hak_malloc(SIZE);
    CHECK(superreg_find(below) == NULL);
    CHECK(superreg_find(above) != NULL);
    CHECK(hak_usable_size(above) >= SIZE);
    CHECK_EQUAL(stats_now().allocations, before.allocations + 1);
    CHECK_EQUAL(stats_now().bytes, before.bytes + hak_usable_size(above));
    hak_free(below);
    hak_free(above);
    CHECK_EQUAL(stats_now().frees, before.frees + 1);
    CHECK_EQUAL(stats_now().bytes, before.bytes);
    CHECK(superreg_find(above) == NULL);
}

/* The pattern at the ends and every 64 KiB of a block, so that a huge one costs little memory. */
static void stamp(unsigned char *block, size_t size, unsigned seed) {
    for (size_t at = 0; at < size; at += GRANULE) {
        block[at] = (unsigned char)(at / GRANULE * 31 + seed);
    }
    block[size - 1] = (unsigned char)seed;
}

static void check_stamp(const unsigned char *block, size_t size, unsigned seed) {
    for (size_t at = 0; at < size; at += GRANULE) {
        CHECK_EQUAL(block[at], (unsigned char)(at / GRANULE * 31 + seed));
    }
}

static _Atomic int remaps;

static void count_remaps(enum refuse_call call, size_t bytes) {
    (void)bytes;
    if (call == CALL_MREMAP) {
        atomic_fetch_add(&remaps, 1);
    }
}

PROMISE(a_huge_block_grows_and_shrinks_by_remapping_and_keeps_its_contents) {
    unsigned char *block = hak_malloc(SIZE);
    CHECK(block != NULL);
    stamp(block, SIZE, 9);
    refuse_hook = count_remaps;
    unsigned char *larger = hak_realloc(block, 3 * SIZE);
    CHECK(larger != NULL);
    check_stamp(larger, SIZE, 9);
    CHECK_EQUAL(larger[SIZE - 1], 9);
    stamp(larger, 3 * SIZE, 21);
    unsigned char *smaller = hak_realloc(larger, SIZE + SIZE / 4);
    refuse_hook = NULL;
    CHECK(smaller != NULL);
    check_stamp(smaller, SIZE + SIZE / 4, 21);
    CHECK_EQUAL(atomic_load(&remaps), 2);
    CHECK(hak_usable_size(smaller) < 2 * SIZE);
    hak_free(smaller);
}

PROMISE(a_huge_block_whose_remapping_is_refused_still_grows_by_copy) {
    unsigned char *block = hak_malloc(SIZE);
    CHECK(block != NULL);
    stamp(block, SIZE, 3);
    refuse_begin(CALL_MREMAP, 1, 1000);
    unsigned char *larger = hak_realloc(block, 2 * SIZE);
    refuse_end();
    CHECK(larger != NULL);
    check_stamp(larger, SIZE, 3);
    hak_free(larger);
}

PROMISE(a_huge_block_that_cannot_grow_is_as_it_was) {
    unsigned char *block = hak_malloc(SIZE);
    CHECK(block != NULL);
    stamp(block, SIZE, 4);
    size_t usable = hak_usable_size(block);
    refuse_begin(CALL_ANY, 1, 1000);
    errno = 0;
    CHECK(hak_realloc(block, 100 * SIZE) == NULL);
    int error = errno;
    refuse_end();
    CHECK_EQUAL(error, ENOMEM);
    CHECK_EQUAL(hak_usable_size(block), usable);
    check_stamp(block, SIZE, 4);
    hak_free(block);
}

PROMISE(a_huge_block_that_shrinks_to_a_small_one_moves_with_its_contents) {
    unsigned char *block = hak_malloc(SIZE);
    CHECK(block != NULL);
    memset(block, 0x5a, 200000);
    block = hak_realloc(block, 100000);
    CHECK(block != NULL && superreg_find(block) == NULL);
    for (int i = 0; i < 100000; i++) {
        CHECK(block[i] == 0x5a);
    }
    hak_free(block);
}

PROMISE(alignments_are_kept_and_impossible_ones_refused) {
    for (size_t alignment = 16; alignment <= GIB; alignment *= 4) {
        unsigned char *block = hak_memalign(alignment, SIZE);
        CHECK(block != NULL);
        CHECK_EQUAL((uintptr_t)block % alignment, 0);
        stamp(block, SIZE, 5);
        check_stamp(block, SIZE, 5);
        hak_free(block);
    }
    CHECK(hak_memalign((size_t)1 << 62, SIZE) == NULL);
}

PROMISE(more_mappings_than_the_registry_has_slots_are_all_found_and_freed) {
    enum { BLOCKS = 6000 };
    static unsigned char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        bool zero = false;
        blocks[i] = huge_take(3 * PAGE, 16, &zero);
        CHECK(blocks[i] != NULL);
        memcpy(blocks[i], &i, sizeof i);
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(memcmp(blocks[i], &i, sizeof i) == 0);
        CHECK_EQUAL(huge_usable(blocks[i]), 3 * PAGE);
        CHECK(huge_free(blocks[i]));
        CHECK_EQUAL(huge_usable(blocks[i]), 0);
    }
}

PROMISE(a_mapping_that_must_be_zero_is_a_fresh_one_though_a_used_one_rests) {
    bool zero = false;
    unsigned char *block = huge_take(SIZE, 16, &zero);
    CHECK(block != NULL);
    stamp(block, SIZE, 7);
    CHECK(huge_free(block));
    zero = true;
    block = huge_take(SIZE, 16, &zero);
    CHECK(block != NULL && zero);
    for (size_t at = 0; at < SIZE; at += GRANULE) {
        CHECK_EQUAL(block[at], 0);
    }
    CHECK(huge_free(block));
}

PROMISE(what_is_not_huge_is_left_alone) {
    struct parcel parcel = parcel_make(5000, 1, 1);
    bool known = true;
    CHECK(!huge_free(parcel.block));
    CHECK(huge_resize(parcel.block, 100, &known) == NULL && !known);
    CHECK_EQUAL(huge_usable(parcel.block), 0);
    parcel_end(&parcel);
}

PROMISE(calloc_clears_a_reused_mapping) {
    for (int round = 0; round < 4; round++) {
        unsigned char *block = hak_calloc(1, SIZE);
        CHECK(block != NULL);
        for (size_t at = 0; at < SIZE; at += 509) {
            CHECK(block[at] == 0);
        }
        stamp(block, SIZE, 200);
        hak_free(block);
    }
}

static void grow_and_free(int index) {
    for (int round = 0; round < 12; round++) {
        size_t size = SIZE + (size_t)(index * 7 + round) * MIB;
        unsigned char *block = hak_malloc(size);
        CHECK(block != NULL);
        stamp(block, size, (unsigned)(index * 50 + round));
        block = hak_realloc(block, size + size / 2);
        CHECK(block != NULL);
        check_stamp(block, size, (unsigned)(index * 50 + round));
        hak_free(block);
    }
}

PROMISE(threads_that_remap_at_once_keep_their_contents) {
    crew_run(4, grow_and_free);
}
