/* elo: the learner plays matches and moves to what costs least. The costs are made up here: each
 * allocation faults pages in, the more the further the threshold is from the one that is best. */
#include "base/config.h"
#include "boxes/elo.h"
#include "hakmem.h"
#include "base/os.h"
#include "check.h"

#include <sys/mman.h>

static int index_of(size_t threshold) {
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        if (elo_candidate(i) == threshold) {
            return i;
        }
    }
    return -1;
}

static struct elo_stats stats_now(void) {
    struct elo_stats stats;
    elo_stats(&stats);
    return stats;
}

/* One allocation that the learner sees, in a world where candidate `best` costs nothing. Sizes up
 * to the smallest candidate are served alike under all of them, so nothing else differs. */
static void live(int best) {
    static unsigned char *page;
    int now = index_of(elo_threshold());
    void *block = hak_malloc(ELO_LEAST);
    CHECK(block != NULL);
    hak_free(block);
    if (page == NULL) {
        page = os_map(PAGE, PAGE);
        CHECK(page != NULL);
    }
    for (int i = 0; i < 3 * abs(now - best); i++) {
        CHECK(madvise(page, PAGE, MADV_DONTNEED) == 0);
        *(volatile unsigned char *)page = 1;
    }
}

/* Lives until the learner has rested at `best` for a few matches, or for long enough to say that it
 * will not. */
static bool settles_at(int best) {
    uint64_t limit = stats_now().matches + 400, settled = 0;
    while (stats_now().matches < limit) {
        uint64_t before = stats_now().matches;
        while (stats_now().matches == before) {
            live(best);
        }
        int leader = 0;
        for (int i = 1; i < ELO_CANDIDATES; i++) {
            leader = elo_rating(i) > elo_rating(leader) ? i : leader;
        }
        settled = leader == best ? settled + 1 : 0;
        if (settled == 3) {
            return true;
        }
    }
    return false;
}

PROMISE(candidates_are_twelve_granular_sizes_in_equal_ratios) {
    CHECK_EQUAL(elo_candidate(0), 512 * KIB);
    CHECK_EQUAL(elo_candidate(ELO_CANDIDATES - 1), 32 * MIB);
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        CHECK_EQUAL(elo_candidate(i) % GRANULE, 0);
        CHECK(i == 0 || elo_candidate(i) * 10 > elo_candidate(i - 1) * 13);
        CHECK(i == 0 || elo_candidate(i) * 10 < elo_candidate(i - 1) * 16);
    }
}

PROMISE(everybody_starts_with_the_same_rating) {
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        CHECK_EQUAL(elo_rating(i), 1500);
    }
}

PROMISE(a_learner_that_is_off_never_moves_nor_plays) {
    if (config.learn) {
        return;
    }
    for (int i = 0; i < 5000; i++) {
        hak_free(hak_malloc(ELO_LEAST));
    }
    CHECK_EQUAL(stats_now().matches, 0);
    CHECK_EQUAL(elo_threshold(), config.threshold);
}

PROMISE(
    a_learner_that_is_on_plays_and_settles_where_it_is_cheapest_and_moves_on_when_that_changes) {
    if (!config.learn) {
        return;
    }
    CHECK(settles_at(8));
    uint64_t moves = stats_now().moves;
    CHECK(moves > 0 && stats_now().matches >= moves);
    CHECK(settles_at(5));
    CHECK(stats_now().moves > moves);
    double sum = 0;
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        sum += elo_rating(i);
    }
    CHECK(sum > 1499.9 * ELO_CANDIDATES && sum < 1500.1 * ELO_CANDIDATES);
}

PROMISE(the_statistics_show_the_learner) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    CHECK_EQUAL(stats.learner_matches, stats_now().matches);
    CHECK_EQUAL(stats.learner_moves, stats_now().moves);
    CHECK_EQUAL(stats.huge_threshold, elo_threshold());
}
