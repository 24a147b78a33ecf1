#include "pages/growth.h"
#include "base/os.h"
#include "pages/hugepages.h"
#include "pages/pagemap.h"
#include "pages/runs.h"

/* Mapped at a time: this part of what there is, within bounds. */
#define PIECE_PART 8
#define PIECE_LEAST (256 * KIB)
#define PIECE_MOST (64 * MIB)

/* From so much on pieces end where a huge page may. */
#define HUGE_PAGES_FROM (8 * MIB)

struct lock growth_lock;

static _Atomic uint64_t committed; /* PAGES */

bool growth_init(void) {
    lock_init(&growth_lock, "growth", RANK_GROWTH);
    return pagemap_add_range(0);
}

/* Notes where a run was, for whoever needs memory next. Requires PAGES. */
static void give_raw(struct span *span) {
    span->state = SPAN_RAW;
    runs_insert_joined(span);
}

/* A run of `granules`, or of up to `most`, where one was unmapped. *answer as for os_map_at, with
 * OS_REFUSED also if there is none. */
static struct span *map_raw(size_t granules, size_t most, enum os_answer *answer) {
    lock_acquire(&pages_lock);
    struct span *span = runs_best_fit(SPAN_RAW, granules);
    if (span != NULL) {
        runs_take_out(span);
        runs_split(span, span->granules < most ? span->granules : most);
        runs_mark_used(span);
    }
    lock_release(&pages_lock);
    *answer = OS_REFUSED;
    if (span == NULL) {
        return NULL;
    }
    *answer = os_map_at((void *)span->start, runs_bytes(span));
    if (*answer == OS_DONE) {
        pagemap_set(span, span->granules, CLASS_NONE);
        return span;
    }
    /* Where something else came to lie, the addresses are lost: nobody says when it leaves. */
    if (*answer == OS_REFUSED) {
        lock_acquire(&pages_lock);
        give_raw(span);
        lock_release(&pages_lock);
    }
    return NULL;
}

/* The newest range with so much place, or NULL. */
static struct range *range_with(size_t bytes) {
    int i = atomic_load_explicit(&range_count, memory_order_relaxed) - 1;
    while (i >= 0 && ranges[i].limit - range_frontier(&ranges[i]) < bytes) {
        i--;
    }
    return i < 0 ? NULL : &ranges[i];
}

/* A new range with place for as much as there is already, that few will do, or else for less. */
static struct range *add_range(size_t bytes) {
    size_t ask = growth_committed() > bytes ? growth_committed() : bytes;
    while (!pagemap_add_range(ask)) {
        if (ask == bytes) {
            return NULL;
        }
        ask = ask / 2 > bytes ? ask / 2 : bytes;
    }
    return range_with(bytes);
}

/* A run of `granules` behind a frontier, and as much more as makes this a multiple of `step`. */
static struct span *map_frontier(size_t granules, size_t step, enum os_answer *answer) {
    size_t bytes = granules * GRANULE;
    *answer = OS_REFUSED;
    struct range *range = range_with(bytes);
    if (range == NULL) {
        range = add_range(bytes);
        if (range == NULL) {
            return NULL;
        }
    }
    size_t at = range_frontier(range), end = align_up(at + bytes, step);
    bytes = end <= range->limit ? end - at : bytes;
    *answer = pagemap_extend(range, bytes);
    if (*answer == OS_TAKEN) {
        /* Something lies in the way: this range ends here. */
        range->limit = range->ready;
    }
    if (*answer != OS_DONE) {
        return NULL;
    }
    struct span *span = &range->spans[at >> GRANULE_SHIFT];
    span->start = range->base + at;
    span->granules = (uint32_t)(bytes >> GRANULE_SHIFT);
    return span;
}

/* Granules of the free run that ends at the frontier from which this many more would
 * come; 0 if there is none. */
static size_t free_at_frontier(size_t granules) {
    size_t there = 0;
    struct range *range = range_with(granules * GRANULE);
    lock_acquire(&pages_lock);
    if (range != NULL && range_frontier(range) != 0) {
        struct span *last = &range->spans[(range_frontier(range) >> GRANULE_SHIFT) - 1];
        if (last->state == SPAN_DIRTY || last->state == SPAN_CLEAN) {
            there = last[-(ptrdiff_t)last->back].granules;
        }
    }
    lock_release(&pages_lock);
    return there < granules ? there : 0;
}

bool growth_add(size_t granules) {
    /* First a fair part of what there is, up to where a huge page may end; then just the run. What
     * is free at the frontier is part of it, so that a block which is made anew a little longer
     * each time stays where it is. */
    size_t missing = granules - free_at_frontier(granules);
    uint64_t part = growth_committed() / PIECE_PART / GRANULE;
    part = part < PIECE_MOST / GRANULE ? part : PIECE_MOST / GRANULE;
    size_t sizes[2] = {part > missing ? part : missing, missing};
    size_t steps[2] = {growth_committed() < HUGE_PAGES_FROM ? PIECE_LEAST : HUGE_PAGE, GRANULE};
    struct span *span = NULL;
    for (int i = 0; i < 2 && span == NULL; i++) {
        enum os_answer answer;
        do {
            span = map_raw(granules, align_up(sizes[i] * GRANULE, steps[i]) / GRANULE, &answer);
            if (span == NULL && answer == OS_REFUSED) {
                span = map_frontier(sizes[i], steps[i], &answer);
            }
        } while (answer == OS_TAKEN); /* each time a raw run or a range less to try */
    }
    if (span == NULL) {
        return false;
    }
    hugepages_added(span);
    lock_acquire(&pages_lock);
    lock_bump(&committed, runs_bytes(span));
    span->state = SPAN_CLEAN;
    span->held = 0;
    runs_insert_joined(span);
    lock_release(&pages_lock);
    return true;
}

bool growth_unmap(struct span *span) {
    /* First of all: once it is unmapped, something else may lie there. */
    pagemap_set(span, span->granules, CLASS_AWAY);
    size_t bytes = runs_bytes(span);
    if (!os_unmap((void *)span->start, bytes)) {
        runs_mark_held(span);
        return false;
    }
    span->held = 0;
    lock_acquire(&pages_lock);
    lock_bump(&committed, -bytes);
    give_raw(span);
    lock_release(&pages_lock);
    return true;
}

uint64_t growth_committed(void) {
    return atomic_load_explicit(&committed, memory_order_relaxed);
}

uint64_t growth_claimed(void) {
    uint64_t sum = 0;
    int count = atomic_load_explicit(&range_count, memory_order_acquire);
    for (int i = 0; i < count; i++) {
        sum += range_frontier(&ranges[i]);
    }
    return sum;
}
