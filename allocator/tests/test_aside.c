/* aside: blocks without a lock, none twice, and all of the piece again when the last is given. */
#include "check.h"
#include "crew.h"
#include "face/aside.h"

static void *take(size_t size, size_t alignment) {
    void *block = aside_take(size, alignment);
    CHECK(block != NULL && aside_owns(block));
    CHECK(((uintptr_t)block & (alignment - 1)) == 0);
    CHECK_EQUAL(aside_size(block), size);
    return block;
}

PROMISE(blocks_are_aligned_and_overlap_nowhere) {
    CHECK(aside_init());
    unsigned char *blocks[12];
    for (int i = 0; i < 12; i++) {
        size_t size = (size_t)i * 100;
        blocks[i] = take(size, (size_t)16 << i % 8);
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < 12; i++) {
        for (size_t k = 0; k < (size_t)i * 100; k++) {
            CHECK(blocks[i][k] == i);
        }
        aside_give(blocks[i]);
    }
}

PROMISE(the_piece_begins_anew_when_the_last_block_is_given) {
    void *first = take(100, 16), *second = take(100, 16);
    CHECK(second != first);
    aside_give(first);
    CHECK(take(100, 16) != first);
    aside_give(second);
    aside_give(second); /* the third, by count */
    CHECK(take(100, 16) == first);
    aside_give(first);
}

PROMISE(a_piece_used_up_refuses_and_serves_again) {
    void *block = take(ASIDE_BYTES / 2, 16);
    CHECK(aside_take(ASIDE_BYTES / 2, 16) == NULL);
    CHECK(aside_take(SIZE_MAX, 16) == NULL);
    CHECK(aside_take(1, ASIDE_BYTES * 2) == NULL);
    aside_give(block);
    aside_give(take(ASIDE_BYTES / 2, 16));
}

PROMISE(other_memory_is_not_ours) {
    int local = 0;
    CHECK(!aside_owns(&local) && !aside_owns(NULL));
}

static void take_and_give(int index) {
    for (int i = 0; i < 5000; i++) {
        int *block = take(64, 16);
        *block = index;
        CHECK(*block == index);
        aside_give(block);
    }
}

PROMISE(threads_share_the_piece) {
    crew_run(4, take_and_give);
    CHECK(aside_take(ASIDE_BYTES - 64, 16) != NULL);
}
