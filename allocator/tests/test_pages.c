/* pages: runs of granules, out and back, and from there to the system. */
#include "base/os.h"
#include "crew.h"
#include "pages/pages.h"
#include "refuse.h"

#define HELD 200

/* One granule in 16 is marked: enough to see an overlap of runs, which are whole granules. */
static void mark(struct span *span, uintptr_t tag) {
    for (size_t i = 0; i < span->granules; i++) {
        *(uintptr_t *)(span->start + i * GRANULE) = tag + i;
    }
}

static void check_marks(struct span *span, size_t granules, uintptr_t tag) {
    for (size_t i = 0; i < granules; i++) {
        CHECK_EQUAL(*(uintptr_t *)(span->start + i * GRANULE), tag + i);
    }
}

/* Random operations on runs of this thread's own; whoever else has one of them spoils the marks. */
static void play(int index) {
    struct span *held[HELD] = {NULL};
    uintptr_t tags[HELD] = {0};
    unsigned long long state = (unsigned long long)index + 17;
    for (int step = 0; step < (SANITIZED ? 1500 : 6000); step++) {
        size_t i = check_random(&state) % HELD, granules = 1 + check_random(&state) % 40;
        if (held[i] == NULL) {
            bool zero;
            size_t align = (size_t)1 << (check_random(&state) % 8 == 0 ? 4 : 0);
            held[i] = pages_take(granules, align, &zero);
            CHECK(held[i] != NULL);
            CHECK_EQUAL(held[i]->granules, granules);
            CHECK_EQUAL(held[i]->start % (align * GRANULE), 0);
            for (size_t k = 0; zero && k < granules; k++) {
                CHECK_EQUAL(*(uintptr_t *)(held[i]->start + k * GRANULE), 0);
            }
        } else {
            size_t old = held[i]->granules;
            check_marks(held[i], old, tags[i]);
            if (check_random(&state) % 3 == 0 && old > granules) {
                pages_shorten(held[i], granules);
                CHECK_EQUAL(held[i]->granules, granules);
            } else if (check_random(&state) % 3 == 0 && old < granules) {
                bool longer = pages_lengthen(held[i], granules);
                CHECK_EQUAL(held[i]->granules, longer ? granules : old);
                check_marks(held[i], old, tags[i]);
            } else {
                pages_give(held[i]);
                held[i] = NULL;
            }
        }
        if (held[i] != NULL) {
            tags[i] = (uintptr_t)check_random(&state);
            mark(held[i], tags[i]);
        }
        if (step % 500 == 0) {
            pages_purge(os_coarse_ms(), 0);
        }
        if (step % 700 == 0) {
            pages_unmap();
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            check_marks(held[i], held[i]->granules, tags[i]);
            pages_give(held[i]);
        }
    }
}

PROMISE(runs_never_overlap_and_keep_their_contents) {
    play(0);
}

PROMISE(runs_never_overlap_when_many_threads_take_and_give_them) {
    crew_run(4, play);
}

PROMISE(a_run_that_says_it_is_zero_is_zero_throughout) {
    for (int round = 0; round < 20; round++) {
        bool zero;
        struct span *span = pages_take(5, 1, &zero);
        CHECK(span != NULL);
        unsigned char *bytes = (unsigned char *)span->start;
        for (size_t i = 0; zero && i < 5 * GRANULE; i++) {
            CHECK(bytes[i] == 0);
        }
        memset(bytes, 0xee, 5 * GRANULE);
        pages_give(span);
        if (round % 3 == 2) {
            pages_purge(os_coarse_ms(), 0);
        }
    }
}

PROMISE(neighbours_given_back_in_any_order_become_one_run) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        bool zero;
        struct span *whole = pages_take(303, 1, &zero);
        CHECK(whole != NULL);
        uintptr_t start = whole->start;
        struct span *parts[3] = {whole, whole + 101, whole + 202};
        /* Three used runs in a row: the ones that taking a whole one apart leaves. */
        pages_give(whole);
        for (int k = 0; k < 3; k++) {
            parts[k] = pages_take(101, 1, &zero);
            CHECK(parts[k] != NULL);
        }
        bool row = parts[0]->start == start && parts[1]->start == start + 101 * GRANULE &&
                   parts[2]->start == start + 202 * GRANULE;
        for (int k = 0; k < 3; k++) {
            pages_give(parts[orders[i][k]]);
        }
        struct span *again = pages_take(303, 1, &zero);
        CHECK(again != NULL);
        CHECK(!row || again->start == start);
        pages_give(again);
    }
}

PROMISE(a_run_grows_in_place_only_into_what_is_free) {
    bool zero;
    struct span *span = pages_take(100, 1, &zero);
    CHECK(span != NULL);
    pages_shorten(span, 10);
    mark(span, 77);
    CHECK(pages_lengthen(span, 60));
    CHECK_EQUAL(span->granules, 60);
    check_marks(span, 10, 77);
    struct span *behind = pages_take(40, 1, &zero);
    CHECK(behind != NULL);
    if (behind->start == span->start + 60 * GRANULE) {
        CHECK(!pages_lengthen(span, 61));
        CHECK_EQUAL(span->granules, 60);
    }
    pages_give(behind);
    pages_give(span);
}

PROMISE(a_purge_returns_all_dirty_memory_and_only_what_is_old_enough) {
    bool zero;
    struct span *span = pages_take(64, 1, &zero);
    CHECK(span != NULL);
    memset((void *)span->start, 1, 64 * GRANULE);
    pages_give(span);
    struct pages_stats before, after;
    pages_stats(&before);
    CHECK(before.dirty >= 64 * GRANULE);
    pages_purge(os_coarse_ms(), 1000000);
    pages_stats(&after);
    CHECK_EQUAL(after.dirty, before.dirty);
    CHECK_EQUAL(pages_purge(os_coarse_ms() + 10, 0), before.dirty);
    pages_stats(&after);
    CHECK_EQUAL(after.dirty, 0);
    CHECK_EQUAL(after.purged, before.purged + before.dirty);
    CHECK(after.purges > before.purges);
}

PROMISE(a_run_is_old_enough_after_days_and_after_weeks) {
    static const uint64_t days[] = {1, 26, 60, 400};
    for (int i = 0; i < 4; i++) {
        bool zero;
        pages_purge(UINT64_MAX, 0);
        struct span *span = pages_take(64, 1, &zero);
        CHECK(span != NULL);
        pages_give(span);
        CHECK(pages_purge(os_coarse_ms() + days[i] * 24 * 3600 * 1000, 1000) >= 64 * GRANULE);
    }
}

static uint64_t dirty_now(void) {
    struct pages_stats stats;
    pages_stats(&stats);
    return stats.dirty;
}

PROMISE(free_neighbours_are_one_run_whether_they_hold_memory_or_not) {
    bool zero;
    struct span *low = pages_take(400, 1, &zero);
    CHECK(low != NULL);
    pages_shorten(low, 300);
    pages_shorten(low, 200);
    pages_shorten(low, 100);
    pages_purge(os_coarse_ms() + 10, 0);
    uintptr_t start = low->start;
    mark(low, 3);
    pages_give(low);
    CHECK_EQUAL(dirty_now(), 100 * GRANULE);
    struct span *whole = pages_take(400, 1, &zero);
    CHECK(whole != NULL);
    CHECK_EQUAL(whole->start, start);
    CHECK(!zero);
    CHECK_EQUAL(dirty_now(), 0);
    pages_give(whole);
}

PROMISE(only_granules_that_hold_memory_are_purged) {
    bool zero;
    pages_purge(os_coarse_ms() + 10, 0);
    struct span *span = pages_take(300, 1, &zero);
    CHECK(span != NULL);
    pages_shorten(span, 7);
    pages_purge(os_coarse_ms() + 10, 0);
    pages_give(span);
    CHECK_EQUAL(dirty_now(), 7 * GRANULE);
    CHECK_EQUAL(pages_purge(os_coarse_ms() + 10, 0), 7 * GRANULE);
}

static bool touch(const struct span *a, const struct span *b) {
    return a + a->granules == b || b + b->granules == a;
}

PROMISE(the_oldest_run_is_purged_first_and_only_as_far_as_asked) {
    bool zero;
    pages_purge(os_coarse_ms() + 10, 0);
    struct span *three[3];
    for (int i = 0; i < 3; i++) {
        three[i] = pages_take(100, 1, &zero);
        CHECK(three[i] != NULL);
    }
    /* Side by side they would be one run, of one age, once they are free: two of three are not. */
    int kept = !touch(three[0], three[1]) ? 2 : !touch(three[0], three[2]) ? 1 : 0;
    struct span *old = three[kept == 0 ? 1 : 0], *young = three[kept == 2 ? 1 : 2];
    mark(old, 1);
    mark(young, 1);
    uintptr_t *first = (uintptr_t *)old->start, *last = (uintptr_t *)(old->start + 99 * GRANULE);
    uintptr_t *other = (uintptr_t *)young->start;
    pages_give(old);
    for (uint64_t then = os_coarse_ms(); os_coarse_ms() == then;) {
        /* The other is to be younger. */
    }
    pages_give(young);
    CHECK_EQUAL(pages_purge_oldest(30 * GRANULE), 30 * GRANULE);
    CHECK_EQUAL(*first, 1);
    CHECK_EQUAL(*last, 0);
    CHECK_EQUAL(pages_purge_oldest(100 * GRANULE), 70 * GRANULE);
    CHECK_EQUAL(*first, 0);
    CHECK_EQUAL(*other, 1);
    CHECK_EQUAL(pages_purge_oldest(200 * GRANULE), 100 * GRANULE);
    CHECK_EQUAL(pages_purge_oldest(GRANULE), 0);
    pages_give(three[kept]);
}

PROMISE(a_refused_purge_leaves_memory_dirty_and_usable) {
    bool zero;
    struct span *span = pages_take(64, 1, &zero);
    CHECK(span != NULL);
    pages_give(span);
    refuse_begin(CALL_MADVISE | CALL_MUNMAP, 1, 1000);
    CHECK_EQUAL(pages_purge(os_coarse_ms() + 10, 0), 0);
    refuse_end();
    struct pages_stats stats;
    pages_stats(&stats);
    CHECK(stats.dirty >= 64 * GRANULE);
    span = pages_take(64, 1, &zero);
    CHECK(span != NULL && !zero);
    pages_give(span);
}

static struct pages_stats stats_now(void) {
    struct pages_stats stats;
    pages_stats(&stats);
    return stats;
}

PROMISE(a_run_that_cannot_be_purged_is_unmapped_and_serves_again_zero) {
    bool zero;
    pages_unmap();
    struct span *span = pages_take(64, 1, &zero);
    CHECK(span != NULL);
    uintptr_t start = span->start;
    memset((void *)start, 1, 64 * GRANULE);
    pages_give(span);
    uint64_t dirty = stats_now().dirty, committed = stats_now().committed;
    refuse_begin(CALL_MADVISE, 1, 1000);
    CHECK_EQUAL(pages_purge(os_coarse_ms() + 10, 0), dirty);
    refuse_end();
    CHECK_EQUAL(stats_now().dirty, 0);
    CHECK_EQUAL(stats_now().committed, committed - dirty);
    CHECK(!pagemap_owns((void *)start));
    pages_unmap();
    span = pages_take(64, 1, &zero);
    CHECK(span != NULL && zero);
    CHECK(pagemap_owns((void *)span->start));
    CHECK_EQUAL(*(char *)span->start, 0);
    pages_give(span);
}

PROMISE(unmapping_ends_all_that_is_free_and_nothing_that_is_used) {
    bool zero;
    struct span *spans[9];
    for (int i = 0; i < 9; i++) {
        spans[i] = pages_take(20, 1, &zero);
        CHECK(spans[i] != NULL);
        mark(spans[i], (uintptr_t)i);
    }
    for (int i = 0; i < 9; i += 3) {
        pages_give(spans[i]);
    }
    CHECK(pages_unmap() >= 60 * GRANULE);
    CHECK_EQUAL(stats_now().committed, pages_used_bytes());
    for (int i = 0; i < 9; i++) {
        if (i % 3 != 0) {
            check_marks(spans[i], 20, (uintptr_t)i);
            pages_give(spans[i]);
        }
    }
}

/* A stranger's page: nobody else may ever write there. */
static char *stranger_at(uintptr_t address) {
    CHECK_EQUAL(os_map_at((void *)address, PAGE), OS_DONE);
    memset((void *)address, 0x77, PAGE);
    return (char *)address;
}

static void check_stranger(const char *page) {
    CHECK(!pagemap_owns(page));
    for (size_t i = 0; i < PAGE; i++) {
        CHECK(page[i] == 0x77);
    }
}

/* Takes runs until the page heap has claimed new addresses `times` more, and gives them back. */
static void outgrow(size_t granules, int times) {
    enum { MOST = 3000 };
    static struct span *spans[MOST];
    int n = 0;
    while (times > 0) {
        uint64_t claimed = stats_now().claimed;
        bool zero;
        CHECK(n < MOST);
        spans[n] = pages_take(granules, 1, &zero);
        CHECK(spans[n] != NULL);
        mark(spans[n], (uintptr_t)n);
        n++;
        times -= stats_now().claimed != claimed;
    }
    for (int i = 0; i < n; i++) {
        check_marks(spans[i], granules, (uintptr_t)i);
        pages_give(spans[i]);
    }
}

PROMISE(what_lies_in_the_way_of_a_range_is_left_alone_and_others_serve) {
    char *stranger = stranger_at(pagemap.base + range_frontier(&pagemap) + 5 * MIB);
    outgrow(100, 5);
    check_stranger(stranger);
    CHECK(range_frontier(&pagemap) <= (uintptr_t)stranger - pagemap.base);
    CHECK(os_unmap(stranger, PAGE));
}

PROMISE(what_came_to_lie_where_a_run_was_unmapped_is_left_alone) {
    bool zero;
    struct span *span = pages_take(50, 1, &zero);
    CHECK(span != NULL);
    uintptr_t start = span->start;
    pages_give(span);
    CHECK(pages_unmap() >= 50 * GRANULE);
    char *stranger = stranger_at(start + 7 * GRANULE);
    outgrow(50, 1);
    check_stranger(stranger);
    CHECK(os_unmap(stranger, PAGE));
}

PROMISE(locked_memory_goes_back_too) {
    bool zero;
    pages_unmap();
    struct span *span = pages_take(4, 1, &zero);
    CHECK(span != NULL);
    uintptr_t start = span->start;
    if (mlock((void *)start, 4 * GRANULE) != 0) {
        pages_give(span); /* more than this user may lock */
        return;
    }
    memset((void *)start, 1, 4 * GRANULE);
    pages_give(span);
    CHECK(pages_purge(os_coarse_ms() + 10, 0) >= 4 * GRANULE);
    CHECK_EQUAL(stats_now().dirty, 0);
    unsigned char held[4 * GRANULE / PAGE] = {0};
    CHECK(mincore((void *)start, 4 * GRANULE, held) == 0 || errno == ENOMEM);
    for (size_t i = 0; i < sizeof held; i++) {
        CHECK_EQUAL(held[i], 0);
    }
}

PROMISE(what_cannot_be_is_refused) {
    bool zero;
    CHECK(pages_take(SIZE_MAX / GRANULE, 1, &zero) == NULL);
    CHECK(pages_take(1, SIZE_MAX / GRANULE, &zero) == NULL);
    CHECK(pages_take((size_t)UINT32_MAX + 1, 1, &zero) == NULL);
}

PROMISE(refused_growth_costs_no_addresses_and_is_made_up_for) {
    bool zero;
    uint64_t claimed = stats_now().claimed;
    for (int i = 0; i < 100; i++) {
        /* Everything, or only what is as long as the run itself: then its descriptors are there. */
        atomic_store(&refuse_least, i < 50 ? 0 : 100 * GRANULE);
        refuse_begin(CALL_MMAP, 1, 1000);
        CHECK(pages_take(50000, 1, &zero) == NULL);
        refuse_end();
    }
    atomic_store(&refuse_least, 0);
    CHECK_EQUAL(stats_now().claimed, claimed);
    struct span *span = pages_take(50000, 1, &zero);
    CHECK(span != NULL);
    mark(span, 5);
    check_marks(span, 50000, 5);
    pages_give(span);
    CHECK(stats_now().claimed < claimed + 2 * 50000 * GRANULE);
}
