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

/* Each huge page cut in two may be one more of the mappings that the system counts (65530 by
 * default), which belong to the program. */
#define CUT_MOST 16384

static _Atomic uintptr_t samples[SAMPLES];
static _Atomic uint64_t granules_out;
static _Atomic uint32_t cut;

/* Neighbours far apart. */
static uint64_t scatter(uint64_t n) {
    n *= 0x9E3779B97F4A7C15; /* 2^64 over the golden ratio */
    return n ^ n >> 32;
}

void hugepages_handed_out(const struct span *run) {
    if (!config.hugepages) {
        return;
    }
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

/* Whether a huge page was asked for there, in the descriptor of its first granule. */
static _Atomic uint8_t *asked(struct range *range, uintptr_t huge_page) {
    return &range->spans[(huge_page - range->base) >> GRANULE_SHIFT].huge;
}

void hugepages_added(const struct span *piece) {
    uintptr_t at = align_up(piece->start, HUGE_PAGE);
    uintptr_t end = (piece->start + piece->granules * GRANULE) & ~(HUGE_PAGE - 1);
    if (!config.hugepages || at >= end || !lately_touched()) {
        return;
    }
    os_advise_huge((void *)at, end - at);
    struct range *range = pagemap_range((void *)at);
    for (; at < end; at += HUGE_PAGE) {
        atomic_store_explicit(asked(range, at), true, memory_order_relaxed);
    }
}

/* The granule where the huge page begins in which granule `at` lies, which may be the first behind
 * the run; `at` if it began before the run, or was not asked for. */
static size_t beginning(const struct span *run, size_t at) {
    uintptr_t huge_page = (run->start + at * GRANULE) & ~(HUGE_PAGE - 1);
    struct range *range = pagemap_range((void *)run->start);
    bool inside = huge_page >= run->start && huge_page != run->start + at * GRANULE;
    return inside && atomic_load_explicit(asked(range, huge_page), memory_order_relaxed)
               ? (huge_page - run->start) >> GRANULE_SHIFT
               : at;
}

size_t hugepages_whole(const struct span *run, size_t at) {
    return beginning(run, at);
}

size_t hugepages_shared(const struct span *run) {
    size_t begins = beginning(run, run->granules);
    return begins != 0 ? run->granules - begins : 0;
}

void hugepages_purged(uintptr_t start, size_t bytes) {
    struct range *range = pagemap_range((void *)start);
    uintptr_t end = start + bytes, at = start & ~(HUGE_PAGE - 1);
    for (at = at < range->base ? at + HUGE_PAGE : at; at < end; at += HUGE_PAGE) {
        bool whole = at >= start && end - at >= HUGE_PAGE;
        if (!whole && atomic_load_explicit(asked(range, at), memory_order_relaxed) &&
            atomic_exchange_explicit(asked(range, at), false, memory_order_relaxed) &&
            atomic_fetch_add_explicit(&cut, 1, memory_order_relaxed) < CUT_MOST) {
            os_advise_small((void *)at, HUGE_PAGE);
        }
    }
}
