#include "boxes/elo.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"
#include "pages/bigcache.h"
#include "pages/pages.h"

/* A window ends after so many allocations and so much time: with less, the grain of the clock and
 * of the fault counter decides the match. Slow operations need fewer of them. */
#define WINDOW_SAMPLES 50
#define WINDOW_NS 5000000u
#define SLOW_SAMPLES 16
#define SLOW_NS 20000000u
#define SAMPLES_A_LOOK 8

#define RATING_START 1500.0
#define RATING_K 32.0
/* No rating leaves 1500 by more: what was learned long ago is unlearned in a few matches. */
#define RATING_SPREAD 48.0

/* Between two matches the leader plays alone: one window more after each match it wins, up to
 * these. */
#define REST_MOST 6

_Atomic size_t elo_now = 32 * MIB;

struct costs {
    double cpu, faults, memory; /* of one allocation: ns, count, bytes held beyond those in use */
};

static struct lock lock;
static double ratings[ELO_CANDIDATES];
static _Atomic uint64_t samples;
static _Atomic uint64_t matches, moves;

/* All below: by whoever holds the lock. */
static enum { RESTING, FIRST, SECOND } stage;
static int leader = ELO_CANDIDATES - 1, home, away, rests, wins;
static uint64_t began_ns, began_cpu, began_faults, began_samples,
    random_state = 0x9e3779b97f4a7c15u;
static struct costs home_costs;

size_t elo_candidate(int i) {
    /* 512 KiB x 64^(i/11), to whole granules. */
    static const double ratio = 1.4595062; /* 64^(1/11) */
    double bytes = (double)ELO_LEAST;
    while (i-- > 0) {
        bytes *= ratio;
    }
    size_t exact = (size_t)bytes + GRANULE / 2;
    return exact & ~(GRANULE - 1);
}

double elo_rating(int i) {
    return ratings[i];
}

static void window_begin(int candidate) {
    atomic_store_explicit(&elo_now, elo_candidate(candidate), memory_order_relaxed);
    os_costs(&began_cpu, &began_faults);
    began_ns = os_now_ns();
    began_samples = atomic_load_explicit(&samples, memory_order_relaxed);
}

static bool window_over(void) {
    uint64_t n = atomic_load_explicit(&samples, memory_order_relaxed) - began_samples;
    uint64_t ns = os_now_ns() - began_ns;
    return (n >= WINDOW_SAMPLES && ns >= WINDOW_NS) || (n >= SLOW_SAMPLES && ns >= SLOW_NS);
}

static struct costs window_costs(void) {
    uint64_t cpu, faults;
    os_costs(&cpu, &faults);
    struct pages_stats pages;
    struct bigcache_stats bigcache;
    pages_stats(&pages);
    bigcache_stats(&bigcache);
    double n = (double)(atomic_load_explicit(&samples, memory_order_relaxed) - began_samples);
    return (struct costs){
        .cpu = (double)(cpu - began_cpu) / n,
        .faults = (double)(faults - began_faults) / n,
        .memory = (double)(pages.dirty + bigcache.bytes),
    };
}

/* Share of the pair's cost that fell on the first: 0 (all on the second) to 1; 0.5 if none had any.
 */
static double share(double first, double second) {
    return first + second > 0 ? first / (first + second) : 0.5;
}

/* e^x * 10^(x/400)-style expectation without libm: 1 / (1 + 10^(d/400)), by squaring of a series.
 */
static double expected(double difference) {
    double x = -difference * 0.0057564627 / 64; /* ln(10) / 400 / 64 */
    double power = 1 + x * (1 + x / 2 * (1 + x / 3));
    for (int i = 0; i < 6; i++) {
        power *= power;
    }
    return 1 / (1 + power);
}

static uint64_t random_next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Anybody but the leader: costs have plateaus, so neighbours alone would never find the next slope.
 */
static int opponent(void) {
    int other = (int)(random_next() % (ELO_CANDIDATES - 1));
    return other >= leader ? other + 1 : other;
}

static double bounded(double rating) {
    double low = RATING_START - RATING_SPREAD, high = RATING_START + RATING_SPREAD;
    return rating < low ? low : rating > high ? high : rating;
}

static void decide(struct costs away_costs) {
    double lost = 0.4 * share(home_costs.cpu, away_costs.cpu) +
                  0.3 * share(home_costs.faults, away_costs.faults) +
                  0.3 * share(home_costs.memory, away_costs.memory);
    /* Within 1 % of each other: a draw. */
    double won = lost < 0.495 ? 1 : lost > 0.505 ? 0 : 0.5;
    double change = RATING_K * (won - expected(ratings[home] - ratings[away]));
    change = bounded(ratings[home] + change) - ratings[home];
    change = ratings[away] - bounded(ratings[away] - change);
    ratings[home] += change;
    ratings[away] -= change;
    lock_bump(&matches, 1);
    int best = leader;
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        if (ratings[i] > ratings[best]) {
            best = i;
        }
    }
    wins = won < 1 ? 0 : wins < REST_MOST - 1 ? wins + 1 : wins;
    if (best != leader) {
        leader = best;
        wins = 0;
        lock_bump(&moves, 1);
    }
}

static void advance(void) {
    struct costs costs = window_costs();
    switch (stage) {
    case RESTING:
        if (--rests > 0) {
            window_begin(leader);
            return;
        }
        home = leader;
        away = opponent();
        stage = FIRST;
        window_begin(home);
        return;
    case FIRST:
        home_costs = costs;
        stage = SECOND;
        window_begin(away);
        return;
    case SECOND:
        decide(costs);
        stage = RESTING;
        rests = 1 + wins;
        window_begin(leader);
        return;
    }
}

void elo_init(void) {
    lock_init(&lock, "elo", RANK_ELO);
    atomic_store_explicit(&elo_now, config.threshold, memory_order_relaxed);
    for (int i = 0; i < ELO_CANDIDATES; i++) {
        ratings[i] = RATING_START;
        if (config.learn && elo_candidate(i) <= config.threshold) {
            leader = i;
        }
    }
    rests = 1;
}

void elo_note(size_t size) {
    if (!config.learn || size < ELO_LEAST) {
        return;
    }
    uint64_t n = atomic_fetch_add_explicit(&samples, 1, memory_order_relaxed) + 1;
    if (n % SAMPLES_A_LOOK != 0) {
        return;
    }
    if (!lock_try(&lock)) {
        return;
    }
    if (began_ns == 0) {
        window_begin(leader);
    } else if (window_over()) {
        advance();
    }
    lock_release(&lock);
}

void elo_stats(struct elo_stats *out) {
    *out = (struct elo_stats){
        .matches = atomic_load_explicit(&matches, memory_order_relaxed),
        .moves = atomic_load_explicit(&moves, memory_order_relaxed),
    };
}
