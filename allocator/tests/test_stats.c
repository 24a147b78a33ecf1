/* stats: the numbers that hak_stats shows follow what the program does. */
#include "face/stats.h"
#include "hakmem.h"
#include "parcel.h"

#include <pthread.h>
#include <stdatomic.h>

static struct hak_stats *stats_now(void) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    return &stats;
}

static const struct hak_box_stats *box(const char *name) {
    const struct hak_stats *stats = stats_now();
    for (uint32_t i = 0; i < stats->box_count; i++) {
        if (strcmp(stats->box[i].name, name) == 0) {
            return &stats->box[i];
        }
    }
    CHECK(!"there is such a box");
    return NULL;
}

PROMISE(a_struct_of_another_size_is_refused_and_left_alone) {
    struct hak_stats stats;
    memset(&stats, 0x77, sizeof stats);
    CHECK_EQUAL(hak_stats(&stats, sizeof stats - 1), -1);
    CHECK_EQUAL(stats.version, 0x77777777);
    CHECK_EQUAL(hak_stats(&stats, sizeof stats), 0);
    CHECK_EQUAL(stats.version, HAK_STATS_VERSION);
    CHECK(stats.box_count >= 6 && stats.box_count <= HAK_STATS_BOXES);
    CHECK(stats.lock_count <= HAK_STATS_LOCKS);
}

PROMISE(bytes_in_use_of_each_box_follow_allocations_and_frees_exactly) {
    static const struct {
        const char *name;
        size_t size;
    } cases[] = {{"tiny", 64},     {"mid", 4096},    {"pool", 65536},
                 {"l25", 1 << 20}, {"run", 3 << 20}, {"huge", 40 << 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *blocks[10];
        uint64_t before = box(cases[i].name)->bytes_in_use;
        for (int k = 0; k < 10; k++) {
            blocks[k] = hak_malloc(cases[i].size);
            CHECK(blocks[k] != NULL);
            CHECK_EQUAL(box(cases[i].name)->bytes_in_use,
                        before + (uint64_t)(k + 1) * hak_usable_size(blocks[k]));
        }
        for (int k = 0; k < 10; k++) {
            hak_free(blocks[k]);
        }
        CHECK_EQUAL(box(cases[i].name)->bytes_in_use, before);
        CHECK(box(cases[i].name)->allocations >= box(cases[i].name)->frees);
    }
}

#define BURST 4000
static _Atomic bool done;

static void *bursts(void *unused) {
    static _Thread_local void *blocks[BURST];
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        for (int i = 0; i < BURST; i++) {
            blocks[i] = hak_malloc(32);
        }
        for (int i = 0; i < BURST; i++) {
            hak_free(blocks[i]);
        }
    }
    return unused;
}

PROMISE(bytes_in_use_are_never_below_none_while_threads_take_and_give) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, bursts, NULL), 0);
    }
    uint64_t most = 0;
    for (int i = 0; i < 3000; i++) {
        uint64_t now = box("tiny")->bytes_in_use;
        most = now > most ? now : most;
    }
    atomic_store(&done, true);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    }
    CHECK(most < (uint64_t)1 << 40);
}

PROMISE(in_use_and_cached_bytes_fit_into_what_is_committed) {
    static const char *const names[] = {"tiny", "mid", "pool", "l25"};
    for (int i = 0; i < 4; i++) {
        const struct hak_box_stats *it = box(names[i]);
        CHECK(it->bytes_in_use + it->bytes_cached <= it->bytes_committed);
    }
    CHECK(stats_now()->dirty_bytes <= stats_now()->committed_bytes);
    CHECK(stats_now()->committed_bytes <= stats_now()->reserved_bytes);
}

PROMISE(the_summary_agrees_with_the_boxes) {
    struct parcel parcel = parcel_make(100000, 1, 1);
    struct stats_summary sum;
    stats_summary(&sum);
    const struct hak_stats *stats = stats_now();
    uint64_t used = 0;
    for (uint32_t i = 0; i < stats->box_count; i++) {
        used += stats->box[i].bytes_in_use;
    }
    CHECK_EQUAL(sum.used + sum.huge_bytes, used);
    CHECK_EQUAL(sum.bigcache, stats->bigcache_bytes);
    parcel_end(&parcel);
}

static uint64_t acquisitions(void) {
    const struct hak_stats *stats = stats_now();
    uint64_t sum = 0;
    for (uint32_t i = 0; i < stats->lock_count; i++) {
        sum += stats->lock[i].acquisitions;
    }
    return sum;
}

PROMISE(a_fast_path_in_steady_state_takes_no_lock) {
    for (int i = 0; i < 1000; i++) {
        hak_free(hak_malloc((size_t)i * 8));
    }
    uint64_t before = acquisitions();
    for (int i = 0; i < 100000; i++) {
        hak_free(hak_malloc((size_t)(i % 1000) * 8));
    }
    /* Statistics and decay take some: far fewer than there were operations. */
    CHECK(acquisitions() - before < 10000);
}

PROMISE(the_build_says_what_it_is) {
    CHECK(strcmp(hak_flavour(), "runtime") == 0 || strcmp(hak_flavour(), "fixed") == 0);
    CHECK_EQUAL(strlen(hak_source_hash()), 64);
    CHECK(strlen(hak_build_flags()) > 0);
}
