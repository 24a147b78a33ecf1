/* decay: memory goes back by time while the process is active, and at once when trimmed. Linked
 * with --wrap, so that a test says how late it is. */
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "clock.h"
#include "crew.h"
#include "hakmem.h"

static _Atomic uint64_t clock_ms = 1000000;

static struct hak_stats *stats_now(void) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    return &stats;
}

static size_t resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%*s %ld", &pages) == 1);
    fclose(file);
    return (size_t)pages * PAGE;
}

/* Allocates, touches and frees `total` bytes in blocks of a size. */
static void spike(size_t total, size_t size) {
    size_t n = total / size;
    char **blocks = os_map(n * sizeof *blocks, PAGE);
    CHECK(blocks != NULL);
    for (size_t i = 0; i < n; i++) {
        blocks[i] = hak_malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < n; i++) {
        hak_free(blocks[i]);
    }
    os_unmap(blocks, n * sizeof *blocks);
}

static const size_t sizes[] = {64, 1000, 6000, 50000, 600000, 3 << 20, 40 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

PROMISE(a_trim_returns_everything_at_once) {
    hak_trim();
    for (int i = 0; i < SIZES; i++) {
        size_t before = resident();
        spike(80 * MIB, sizes[i]);
        /* A mapping beyond the bound is gone already. */
        bool some = stats_now()->dirty_bytes + stats_now()->bigcache_bytes != 0;
        CHECK_EQUAL(hak_trim(), some);
        CHECK_EQUAL(stats_now()->dirty_bytes, 0);
        CHECK_EQUAL(stats_now()->bigcache_bytes, 0);
        CHECK(SANITIZED || resident() < before + 8 * MIB);
    }
}

PROMISE(a_trim_with_nothing_to_return_says_so) {
    hak_trim();
    hak_trim();
    CHECK_EQUAL(hak_trim(), 0);
}

/* A little of everything, as a program does that has become quiet, in a twentieth of the period. */
static void breathe(void) {
    for (int i = 0; i < 200; i++) {
        hak_free(hak_malloc((size_t)(i * 37 % 9000)));
    }
    hak_free(hak_malloc(100000));
    hak_free(hak_malloc(2 << 20));
    atomic_fetch_add(&clock_ms, config.decay_ms / 20);
}

PROMISE(after_a_spike_memory_returns_within_some_periods_of_activity) {
    hak_trim();
    for (int i = 0; i < SIZES; i++) {
        size_t before = resident();
        spike(80 * MIB, sizes[i]);
        for (int breaths = 0; breaths < 100; breaths++) {
            breathe();
        }
        /* What is left is what the last breaths freed, and what lies beside it, if that is less:
         * one run, whose age is that of its larger part. */
        CHECK(stats_now()->dirty_bytes <= 2 * 2 * MIB + MIB / 4 &&
              stats_now()->bigcache_bytes == 0);
        CHECK(SANITIZED || resident() < before + 8 * MIB);
        hak_trim();
    }
}

PROMISE(what_is_younger_than_the_period_stays) {
    if (config.decay_ms < 100000) {
        return;
    }
    hak_trim();
    spike(6 * MIB, 2 << 20); /* within the bound (dirty.h) */
    uint64_t purged = stats_now()->purged_bytes;
    for (int i = 0; i < 20; i++) {
        decay_run();
    }
    CHECK_EQUAL(stats_now()->purged_bytes, purged);
}

static _Atomic int dues;
static _Atomic bool over;

/* The first lets time go by, all in all less than what counts as a clock that was set back. */
static void ask(int index) {
    for (int i = 0; !atomic_load(&over); i++) {
        if (index == 0 && i % 100 == 0) {
            atomic_fetch_add(&clock_ms, 1);
            atomic_store(&over, i == 80000);
        }
        if (decay_due()) {
            atomic_fetch_add(&dues, 1);
        }
    }
}

PROMISE(a_period_is_due_for_one_caller_only) {
    while (decay_due()) {
    }
    uint64_t before = os_coarse_ms();
    crew_run(4, ask);
    uint64_t periods = (os_coarse_ms() - before) / (config.decay_ms / 4 + 1);
    CHECK((uint64_t)atomic_load(&dues) <= periods + 1);
    CHECK(periods == 0 || atomic_load(&dues) > 0);
}

static void breathe_and_decay(int index) {
    for (int i = 0; i < 100; i++) {
        if (i % 4 == index) {
            decay_run();
        }
        void *blocks[50];
        for (size_t k = 0; k < 50; k++) {
            blocks[k] = hak_malloc(k * 700);
            CHECK(blocks[k] != NULL);
            memset(blocks[k], index, k * 700);
        }
        for (size_t k = 0; k < 50; k++) {
            CHECK(k == 0 || ((char *)blocks[k])[k * 700 - 1] == (char)index);
            hak_free(blocks[k]);
        }
        if (i % 10 == index) {
            hak_trim();
        }
    }
}

PROMISE(decays_and_trims_of_many_threads_take_no_block_in_use) {
    crew_run(4, breathe_and_decay);
}
