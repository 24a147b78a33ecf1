#include "pages/hugepages.h"
#include "base/config.h"
#include "base/os.h"
#include "pages/pagemap.h"

/* Pages looked at: one of each EVERY granules that were handed out, so of the last 8 MiB. Before so
 * much was, nothing is known: a small program would pay for megabytes that it never wanted. */
#define SAMPLES 32
#define EVERY 4

/* Of these so many have to be touched, and of a page one of so many words. What is left bounds the
 * memory that huge pages cost: a third of what small ones would. */
#define ENOUGH (SAMPLES / 4 * 3)
#define WORDS 8

/* Milliseconds of the coarse clock from which on the first touch of a huge page seems dear: 512
 * small ones take about one. That clock ticks every 1 to 10 ms, so a dear touch may seem cheap, and
 * of the cheap ones, of 0.1 to 0.2 ms, one in twenty or more seems dear. So they are dear where two
 * touches of DOUBT seem so. */
#define DEAR_MS 2
#define DOUBT 4

/* Each time they were dear twice as many pieces pass before the next try; after each cheap touch
 * twice as many huge pages may be asked for at once. Most, as powers of two. */
#define PAUSE_MOST 6
#define ROW_MOST 6

/* Each huge page cut in two may be one more of the mappings that the system counts (65530 by
 * default), which belong to the program. */
#define CUT_MOST 16384

static _Atomic uintptr_t samples[SAMPLES];
static _Atomic uint64_t granules_out;
static _Atomic uint32_t cut;

/* Cheap touches in a row, or below zero: pieces that are still to pass. For how many touches more
 * one that seems dear is believed. How often in a row they were dear. */
static _Atomic int cheap, doubts, dear;

/* Of the granule that a huge page begins with. */
enum { SMALL, ASKED, TOUCHED };

/* Neighbours far apart. */
static uint64_t scatter(uint64_t n) {
    n *= 0x9E3779B97F4A7C15; /* 2^64 over the golden ratio */
    return n ^ n >> 32;
}

/* Whether a huge page was asked for there, in the descriptor of its first granule. */
static _Atomic uint8_t *asked(struct range *range, uintptr_t huge_page) {
    return &range->spans[(huge_page - range->base) >> GRANULE_SHIFT].huge;
}

static uint8_t get(_Atomic uint8_t *of) {
    return atomic_load_explicit(of, memory_order_relaxed);
}

static void set(_Atomic int *of, int n) {
    atomic_store_explicit(of, n, memory_order_relaxed);
}

/* From this one on those that were asked for, and not touched, become small ones again. */
static void retract(struct range *range, uintptr_t huge_page) {
    uintptr_t end = huge_page, frontier = range->base + range_frontier(range);
    while (end < frontier && get(asked(range, end)) == ASKED) {
        atomic_store_explicit(asked(range, end), SMALL, memory_order_relaxed);
        end += HUGE_PAGE;
    }
    if (end != huge_page) {
        os_advise_small((void *)huge_page, end - huge_page);
    }
}

/* Whether a first touch took little time. */
static bool touch_is_cheap(uintptr_t address) {
    uint64_t began = os_coarse_ms();
    *(volatile char *)address = 0;
    return os_coarse_ms() - began < DEAR_MS;
}

/* What the touch of a huge page told; true if they are dear. */
static bool note(bool was_cheap) {
    int row = atomic_load_explicit(&cheap, memory_order_relaxed);
    int doubt = atomic_load_explicit(&doubts, memory_order_relaxed);
    int times = atomic_load_explicit(&dear, memory_order_relaxed);
    if (was_cheap) {
        set(&cheap, row < 0 || row == ROW_MOST ? row : row + 1);
        set(&doubts, doubt > 0 ? doubt - 1 : 0);
        set(&dear, doubt > 0 ? times : 0);
        return false;
    }
    if (doubt == 0) {
        set(&doubts, DOUBT);
        set(&cheap, row > 0 ? row / 2 : row);
        return false;
    }
    set(&doubts, DOUBT);
    set(&cheap, -(2 << times));
    set(&dear, times < PAUSE_MOST ? times + 1 : times);
    return true;
}

/* Touches the huge page in which a run begins, if nobody did. Those that follow are the program's
 * to touch. */
static void touch(const struct span *run) {
    struct range *range = pagemap_range((void *)run->start);
    uintptr_t at = run->start & ~(HUGE_PAGE - 1), end = run->start + run->granules * GRANULE;
    if (at >= range->base && get(asked(range, at)) == ASKED) {
        atomic_store_explicit(asked(range, at), TOUCHED, memory_order_relaxed);
        if (note(touch_is_cheap(run->start))) {
            retract(range, at + HUGE_PAGE);
        }
    }
    for (at += HUGE_PAGE; at < end; at += HUGE_PAGE) {
        if (get(asked(range, at)) == ASKED) {
            atomic_store_explicit(asked(range, at), TOUCHED, memory_order_relaxed);
        }
    }
}

void hugepages_handed_out(const struct span *run) {
    if (!config.hugepages) {
        return;
    }
    touch(run);
    uint64_t out = atomic_fetch_add_explicit(&granules_out, run->granules, memory_order_relaxed);
    uint64_t from = out / EVERY, to = (out + run->granules) / EVERY;
    from = to - from > SAMPLES ? to - SAMPLES : from;
    for (; from < to; from++) {
        uintptr_t page = run->start + scatter(from) % span_pages(run) * PAGE;
        atomic_store_explicit(&samples[from % SAMPLES], page, memory_order_relaxed);
    }
}

static bool is_touched(uintptr_t page) {
    for (uint64_t i = 0; i < WORDS; i++) {
        if (os_is_written((void *)(page + scatter(page + i) % (PAGE / 8) * 8))) {
            return true;
        }
    }
    return false;
}

static bool lately_touched(void) {
    int touched = 0;
    for (int i = 0; i < SAMPLES; i++) {
        uintptr_t page = atomic_load_explicit(&samples[i], memory_order_relaxed);
        touched += page != 0 && is_touched(page);
    }
    return touched >= ENOUGH;
}

/* Huge pages that may be asked for now. */
static size_t allowed(void) {
    int row = atomic_load_explicit(&cheap, memory_order_relaxed);
    if (row < 0) {
        set(&cheap, row + 1);
        return 0;
    }
    return (size_t)1 << row;
}

void hugepages_added(const struct span *piece) {
    uintptr_t at = align_up(piece->start, HUGE_PAGE);
    uintptr_t end = (piece->start + piece->granules * GRANULE) & ~(HUGE_PAGE - 1);
    if (!config.hugepages || at >= end || !lately_touched()) {
        return;
    }
    size_t most = allowed() * HUGE_PAGE;
    end = end - at < most ? end : at + most;
    if (at == end) {
        return;
    }
    os_advise_huge((void *)at, end - at);
    struct range *range = pagemap_range((void *)at);
    for (; at < end; at += HUGE_PAGE) {
        atomic_store_explicit(asked(range, at), ASKED, memory_order_relaxed);
    }
}

size_t hugepages_whole(const struct span *run, size_t at) {
    uintptr_t huge_page = (run->start + at * GRANULE) & ~(HUGE_PAGE - 1);
    struct range *range = pagemap_range((void *)run->start);
    bool inside = huge_page >= run->start && huge_page != run->start + at * GRANULE;
    return inside && get(asked(range, huge_page)) != SMALL
               ? (huge_page - run->start) >> GRANULE_SHIFT
               : at;
}

size_t hugepages_shared(const struct span *run) {
    size_t begins = hugepages_whole(run, run->granules);
    return begins != 0 ? run->granules - begins : 0;
}

void hugepages_purged(uintptr_t start, size_t bytes) {
    struct range *range = pagemap_range((void *)start);
    uintptr_t end = start + bytes, at = start & ~(HUGE_PAGE - 1);
    for (at = at < range->base ? at + HUGE_PAGE : at; at < end; at += HUGE_PAGE) {
        bool whole = at >= start && end - at >= HUGE_PAGE;
        if (!whole && get(asked(range, at)) != SMALL &&
            atomic_exchange_explicit(asked(range, at), SMALL, memory_order_relaxed) != SMALL &&
            atomic_fetch_add_explicit(&cut, 1, memory_order_relaxed) < CUT_MOST) {
            os_advise_small((void *)at, HUGE_PAGE);
        }
    }
}
