/* dirty: free memory stays within its bound whatever is freed, and a load within it makes no call.
 * Linked with --wrap, so that a test can see to it that time has no part in what goes back.
 */
#include "base/config.h"
#include "clock.h"
#include "crew.h"
#include "hakmem.h"
#include "pages/growth.h"
#include "pages/pages.h"
#include "stores/dirty.h"
#include "stores/spans.h"

static void stop_clock(void) {
    atomic_store(&clock_ms, __real_os_coarse_ms());
}

static void start_clock(void) {
    atomic_store(&clock_ms, 0);
}

static uint64_t purges(void) {
    static struct hak_stats stats;
    uint64_t sum = 0;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    for (uint32_t i = 0; i < stats.box_count; i++) {
        sum += stats.box[i].purges;
    }
    return sum;
}

PROMISE(what_growth_gave_back_of_a_class_that_takes_it_anew_may_stay) {
    enum { RUNS = 100, BLOCKS = 10000, OTHERS = 250, ROUNDS = 24 };
    static void *runs[RUNS], *blocks[BLOCKS], *others[ROUNDS][OTHERS];
    if (config.check || config.dirty != 8 * MIB) {
        return;
    }
    stop_clock();
    for (int i = 0; i < RUNS; i++) { /* in use, so that the bound is far */
        runs[i] = hak_malloc(2 * MIB);
        CHECK(runs[i] != NULL);
    }
    uint64_t first = 0, half_way = 0, before = purges();
    for (int round = 0; round < ROUNDS; round++) {
        half_way = round == ROUNDS / 2 ? purges() : half_way;
        for (int i = 0; i < BLOCKS; i++) {
            if (i % 5 < 2 || round == 0) {
                blocks[i] = hak_malloc(4000);
                CHECK(blocks[i] != NULL);
                memset(blocks[i], 1, 4000);
            }
        }
        for (int i = 0; i < BLOCKS; i += i % 5 == 1 ? 4 : 1) {
            hak_free(blocks[i]);
        }
        for (int i = 0; i < OTHERS; i++) { /* two megabytes more */
            others[round][i] = hak_malloc(9000);
            CHECK(others[round][i] != NULL);
        }
        first = first != 0 ? first : purges() - before;
    }
    CHECK(first > 50);
    CHECK(purges() - half_way < ROUNDS / 2 * first / 2);
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 5 >= 2) {
            hak_free(blocks[i]);
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < OTHERS; j++) {
            hak_free(others[i][j]);
        }
    }
    for (int i = 0; i < RUNS; i++) {
        hak_free(runs[i]);
    }
    hak_trim();
    start_clock();
}

/* Sizes of every box, up to huge. */
static size_t some_size(unsigned long long *state) {
    static const size_t limits[] = {300, 5000, 40000, 700000, 5 * MIB, 40 * MIB};
    return 1 + check_random(state) % limits[check_random(state) % 6];
}

PROMISE(whatever_is_freed_what_stays_is_within_the_bound) {
    enum { HELD = 60 };
    static char *held[HELD];
    unsigned long long state = 7;
    for (int step = 0; step < 3000; step++) {
        size_t i = check_random(&state) % HELD;
        hak_free(held[i]);
        size_t size = some_size(&state);
        held[i] = hak_malloc(size);
        CHECK(held[i] != NULL);
        memset(held[i], 1, size < 100000 ? size : 100000);
        if (size > 32 * MIB || step % 100 == 0) {
            hak_free(held[i]);
            held[i] = NULL;
            CHECK(size < 2 * MIB || dirty_bytes() <= dirty_limit());
        }
    }
    for (int i = 0; i < HELD; i++) {
        hak_free(held[i]);
        held[i] = NULL;
    }
    hak_trim();
    CHECK(dirty_bytes() <= config.dirty);
}

PROMISE(a_burst_of_blocks_of_any_size_leaves_no_more_than_the_bound) {
    for (size_t size = 200; size < 50 * MIB; size *= 7) {
        size_t n = 64 * MIB / size;
        static void *blocks[400000];
        for (size_t i = 0; i < n; i++) {
            blocks[i] = hak_malloc(size);
            CHECK(blocks[i] != NULL);
        }
        for (size_t i = 0; i < n; i++) {
            hak_free(blocks[i]);
        }
        /* What caches and stores keep is not pages' to give. */
        CHECK(dirty_bytes() <= dirty_limit());
        /* However many bursts there were: what was mapped for one, and a bound's worth. */
        uint64_t mapped = growth_committed();
        CHECK(dirty_limit() <= mapped + mapped / 4 + config.dirty);
    }
}

PROMISE(survivors_of_a_burst_keep_their_pages_and_not_their_neighbours) {
    enum { BLOCKS = 60000, KEPT = 100 };
    static unsigned char *blocks[BLOCKS];
    if (config.check) {
        return;
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = hak_malloc(1000);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, 1000);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (i % KEPT != 0) {
            hak_free(blocks[i]);
        }
    }
    CHECK(dirty_bytes() <= dirty_limit());
    for (int i = 0; i < BLOCKS; i += KEPT) {
        CHECK(blocks[i][0] == (unsigned char)i && blocks[i][999] == (unsigned char)i);
        hak_free(blocks[i]);
    }
}

PROMISE(while_one_class_grows_what_another_holds_idle_goes_back) {
    enum { RUNS = 12, BLOCKS = 80000, KEPT = 100 };
    static void *runs[RUNS], *blocks[BLOCKS], *others[BLOCKS / 2];
    if (config.check || config.dirty > 8 * MIB) {
        return;
    }
    stop_clock();
    for (int i = 0; i < RUNS; i++) { /* in use, so that the bound is a hundred megabytes */
        runs[i] = hak_malloc(31 * MIB);
        CHECK(runs[i] != NULL);
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = hak_malloc(1000);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (i % KEPT != 0) {
            hak_free(blocks[i]);
        }
    }
    uint64_t idle = spans_bare_bytes();
    CHECK(idle > 20 * MIB);
    for (int i = 0; i < BLOCKS / 2; i++) {
        others[i] = hak_malloc(2000);
        CHECK(others[i] != NULL);
    }
    CHECK(spans_bare_bytes() < 16 * MIB);
    for (int i = 0; i < BLOCKS / 2; i++) {
        hak_free(others[i]);
    }
    for (int i = 0; i < BLOCKS; i += KEPT) {
        hak_free(blocks[i]);
    }
    for (int i = 0; i < RUNS; i++) {
        hak_free(runs[i]);
    }
    hak_trim();
    start_clock();
}

PROMISE(a_load_within_the_bound_makes_no_call) {
    if (config.dirty < 8 * MIB) {
        return;
    }
    stop_clock();
    hak_trim();
    uint64_t before = purges();
    for (int round = 0; round < 2000; round++) {
        char *run = hak_malloc(3 * MIB), *other = hak_malloc(2 * MIB);
        CHECK(run != NULL && other != NULL);
        *run = *other = 1;
        hak_free(run);
        hak_free(other);
    }
    CHECK_EQUAL(purges(), before);
    start_clock();
}

PROMISE(one_block_that_grows_commits_no_more_than_its_length) {
    struct pages_stats before, after;
    hak_trim();
    pages_stats(&before);
    for (size_t size = MIB + 1; size < 30 * MIB; size += 300000) {
        char *block = hak_malloc(size);
        CHECK(block != NULL);
        hak_free(block);
    }
    pages_stats(&after);
    CHECK(after.committed - before.committed <= 34 * MIB);
}

static void churn(int index) {
    unsigned long long state = (unsigned long long)index + 5;
    unsigned char *held[20] = {NULL};
    size_t sizes[20] = {0};
    for (int step = 0; step < (SANITIZED ? 400 : 3000); step++) {
        size_t i = check_random(&state) % 20;
        if (held[i] != NULL) {
            CHECK(held[i][0] == index && held[i][sizes[i] - 1] == index);
            hak_free(held[i]);
        }
        sizes[i] = some_size(&state) / 4 + 1;
        held[i] = hak_malloc(sizes[i]);
        CHECK(held[i] != NULL);
        held[i][0] = held[i][sizes[i] - 1] = (unsigned char)index;
    }
    for (int i = 0; i < 20; i++) {
        hak_free(held[i]);
    }
}

PROMISE(threads_that_purge_at_once_take_no_block_in_use) {
    crew_run(4, churn);
}
