/* hugepages: asked for where memory is touched, and no more where part of it went back. */
#include "base/config.h"
#include "child.h"
#include "hakmem.h"

#include <sys/mman.h>

#define MOST 400000
#define FILL 0x5A

/* The clock goes on by so much each time it is read, and by itself not at all. */
static uint64_t step_ms;

uint64_t __wrap_os_coarse_ms(void);
uint64_t __wrap_os_coarse_ms(void) {
    static uint64_t now_ms = 1000;
    return now_ms += step_ms;
}

static char *blocks[MOST];
static size_t huge_bytes, small_advices, mapped_wrong;

int __real_sys_madvise(void *at, size_t bytes, int advice);
int __wrap_sys_madvise(void *at, size_t bytes, int advice);
int __wrap_sys_madvise(void *at, size_t bytes, int advice) {
    if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) {
        mapped_wrong += ((uintptr_t)at | bytes) % HUGE_PAGE != 0;
        huge_bytes += advice == MADV_HUGEPAGE ? bytes : 0;
        small_advices += advice == MADV_NOHUGEPAGE;
    }
    return __real_sys_madvise(at, bytes, advice);
}

/* Takes `bytes` in blocks, and writes to the first `touched` bytes of each; returns how many. */
static int take(size_t bytes, size_t size, size_t touched) {
    int n = (int)(bytes / size);
    CHECK(n <= MOST);
    for (int i = 0; i < n; i++) {
        blocks[i] = hak_malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], FILL, touched);
    }
    return n;
}

static void grow_dense(void) {
    take(100 * MIB, 1000, 1000);
    CHECK(huge_bytes <= 128 * MIB);
    CHECK(config.hugepages ? huge_bytes >= 64 * MIB : huge_bytes == 0);
    CHECK_EQUAL(mapped_wrong, 0);
    CHECK_EQUAL(small_advices, 0);
}

static void grow_sparse(void) {
    take(100 * MIB, 32 * KIB, 16);
    CHECK_EQUAL(huge_bytes, 0);
}

static void grow_sparse_in_long_blocks(void) {
    take(400 * MIB, MIB, 16);
    CHECK_EQUAL(huge_bytes, 0);
}

/* A try and one in doubt; then after two pieces another, after four, after eight. */
static void grow_dear(void) {
    step_ms = 4;
    take(200 * MIB, 1000, 1000);
    CHECK(config.hugepages ? huge_bytes >= 2 * HUGE_PAGE : huge_bytes == 0);
    CHECK(huge_bytes <= 8 * HUGE_PAGE);
}

static void grow_dense_in_long_blocks(void) {
    take(100 * MIB, MIB, MIB);
    CHECK(config.hugepages ? huge_bytes >= 64 * MIB : huge_bytes == 0);
}

static void become_sparse(void) {
    take(32 * MIB, 1000, 1000);
    size_t before = huge_bytes;
    take(200 * MIB, 32 * KIB, 16);
    CHECK(huge_bytes - before <= 32 * MIB);
}

static void stay_small(void) {
    take(4 * MIB, 1000, 1000);
    CHECK_EQUAL(huge_bytes, 0);
}

static void thin_out(void) {
    int n = take(100 * MIB, 1000, 1000);
    for (int i = 0; i < n; i++) {
        if (i % 64 != 0) {
            hak_free(blocks[i]);
        }
    }
    hak_trim();
    CHECK(config.hugepages ? small_advices >= 32 : small_advices == 0);
    CHECK(small_advices <= huge_bytes / HUGE_PAGE);
    CHECK_EQUAL(mapped_wrong, 0);
    for (int i = 0; i < n; i += 64) {
        for (int k = 0; k < 1000; k++) {
            CHECK(blocks[i][k] == FILL);
        }
    }
    size_t once = small_advices;
    for (int i = 0; i < n; i += 64) {
        if (i % 128 != 0) {
            hak_free(blocks[i]);
        }
    }
    hak_trim();
    CHECK(small_advices - once <= huge_bytes / HUGE_PAGE - once);
}

static void drain(void) {
    int n = take(100 * MIB, 1000, 1000);
    for (int i = 0; i < n; i++) {
        hak_free(blocks[i]);
    }
    hak_trim();
    CHECK(small_advices <= huge_bytes / HUGE_PAGE / 4);
}

static void check_in_child(void (*what)(void)) {
    struct ending end = child_fork(what);
    if (end.code != 0) {
        fputs(end.said, stderr);
    }
    CHECK_EQUAL(end.code, 0);
}

PROMISE(memory_that_is_touched_asks_for_huge_pages_whole_ones) {
    check_in_child(grow_dense);
    check_in_child(grow_dense_in_long_blocks);
}

PROMISE(memory_of_which_little_is_touched_asks_for_none) {
    check_in_child(grow_sparse);
    check_in_child(grow_sparse_in_long_blocks);
}

PROMISE(a_program_that_no_longer_touches_what_it_takes_asks_for_few_more) {
    check_in_child(become_sparse);
}

PROMISE(where_huge_pages_are_dear_few_are_asked_for) {
    check_in_child(grow_dear);
}

PROMISE(a_small_program_asks_for_none) {
    check_in_child(stay_small);
}

PROMISE(a_huge_page_that_is_given_back_in_part_asks_for_small_ones_once) {
    check_in_child(thin_out);
}

PROMISE(huge_pages_are_given_back_whole_where_all_is_free) {
    check_in_child(drain);
}
