/* ages: what is free goes back when it has been so for long enough, whatever the clock does. */
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "check.h"
#include "clock.h"
#include "hakmem.h"
#include "pages/bigcache.h"
#include "pages/pages.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/spans.h"

#define DAY ((uint64_t)86400000)

static _Atomic uint64_t clock_ms = 1000 * DAY;

static const uint64_t jumps[] = {DAY / 24, 24 * DAY,  26 * DAY, 49 * DAY,
                                 50 * DAY, 100 * DAY, 500 * DAY};
#define JUMPS (sizeof jumps / sizeof jumps[0])

static void free_a_run(void) {
    bool zero;
    struct span *span = pages_take(64, 1, &zero);
    CHECK(span != NULL);
    pages_give(span);
}

static size_t dirty(void) {
    struct pages_stats stats;
    pages_stats(&stats);
    return stats.dirty;
}

PROMISE(a_free_run_goes_back_after_any_number_of_days_and_not_before_its_time) {
    for (size_t i = 0; i < JUMPS; i++) {
        hak_trim();
        free_a_run();
        pages_purge(clock_ms + config.decay_ms - 1, config.decay_ms);
        CHECK(dirty() >= 64 * GRANULE);
        clock_ms += jumps[i];
        pages_purge(clock_ms, config.decay_ms);
        CHECK_EQUAL(dirty(), 0);
    }
}

PROMISE(a_free_run_goes_back_when_the_clock_was_set_back) {
    for (size_t i = 0; i < JUMPS; i++) {
        hak_trim();
        free_a_run();
        clock_ms -= jumps[i];
        pages_purge(clock_ms, config.decay_ms);
        CHECK_EQUAL(dirty(), 0);
    }
}

PROMISE(a_run_freed_by_a_thread_whose_clock_is_a_bit_ahead_is_not_old) {
    hak_trim();
    clock_ms += 4;
    free_a_run();
    clock_ms -= 4;
    pages_purge(clock_ms, config.decay_ms);
    CHECK(dirty() >= 64 * GRANULE);
}

PROMISE(pages_under_free_blocks_go_back_after_any_number_of_days) {
    enum { BLOCKS = 400 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < JUMPS; i++) {
        for (int k = 0; k < BLOCKS; k++) {
            blocks[k] = hak_malloc(6000);
            CHECK(blocks[k] != NULL);
        }
        for (int k = 0; k < BLOCKS; k++) {
            if (k % 10 != 0) {
                hak_free(blocks[k]);
            }
        }
        cache_drain();
        central_drain();
        CHECK_EQUAL(spans_purge(clock_ms, config.decay_ms), 0);
        clock_ms += jumps[i];
        CHECK(spans_purge(clock_ms, config.decay_ms) > 0);
        for (int k = 0; k < BLOCKS; k += 10) {
            hak_free(blocks[k]);
        }
        hak_trim();
    }
}

PROMISE(a_resting_mapping_ends_after_any_number_of_days_also_backwards) {
    for (size_t i = 0; i < 2 * JUMPS; i++) {
        bigcache_decay(UINT64_MAX);
        void *mapping = os_map(4 * MIB, PAGE);
        CHECK(mapping != NULL);
        bigcache_give(mapping, 4 * MIB);
        CHECK_EQUAL(bigcache_decay(clock_ms), 0);
        clock_ms = i % 2 ? clock_ms + jumps[i / 2] : clock_ms - jumps[i / 2];
        CHECK_EQUAL(bigcache_decay(clock_ms), 4 * MIB);
    }
}

PROMISE(a_period_is_due_again_after_any_jump) {
    while (decay_due()) {
    }
    for (size_t i = 0; i < 2 * JUMPS; i++) {
        CHECK(!decay_due());
        clock_ms = i % 2 ? clock_ms + jumps[i / 2] : clock_ms - jumps[i / 2];
        CHECK(decay_due());
        CHECK(!decay_due());
    }
}
