#include "pages/pages.h"
#include "base/os.h"
#include "pages/growth.h"
#include "pages/hugepages.h"
#include "pages/regret.h"
#include "pages/runs.h"

static _Atomic uint64_t purged_bytes, purges;

static bool is_forgotten(const struct span *span) {
    return pagemap_is_forgotten((void *)span->start);
}

/* A used run out of the free ones, or NULL. Requires the lock. */
static struct span *take_free(size_t granules, bool *zero) {
    struct span *span = runs_best_fit(SPAN_DIRTY, granules);
    if (span == NULL) {
        span = runs_best_fit(SPAN_CLEAN, granules);
    }
    if (span == NULL) {
        return NULL;
    }
    runs_take_out(span);
    span = runs_cut(span, granules);
    uint32_t held = span->held;
    *zero = held == 0;
    runs_mark_clean(span);
    span->held = held; /* for pages_take to see */
    runs_mark_used(span);
    return span;
}

bool pages_init(void) {
    bool grown = growth_init();
    runs_init();
    return grown;
}

static struct span *take(size_t granules, bool *zero) {
    lock_acquire(&pages_lock);
    struct span *span = take_free(granules, zero);
    lock_release(&pages_lock);
    if (span != NULL) {
        return span;
    }
    /* Others may take what was just added, but only those to whom it was at hand. */
    bool added = true;
    lock_acquire(&growth_lock);
    while (span == NULL && added) {
        lock_acquire(&pages_lock);
        span = take_free(granules, zero);
        lock_release(&pages_lock);
        added = span == NULL && growth_add(granules);
    }
    lock_release(&growth_lock);
    return span;
}

/* A used run becomes free as it is: its granules hold what they are marked to hold. What is from
 * before a fork that nobody announced has no neighbours that are known, and is forgotten. */
static void give(struct span *span) {
    uint64_t now = os_coarse_ms();
    lock_acquire(&pages_lock);
    bool forgotten = is_forgotten(span);
    if (!forgotten) {
        span->freed_at_ms = now;
        span->state = SPAN_DIRTY;
        runs_insert_joined(span);
    }
    lock_release(&pages_lock);
    if (forgotten) {
        os_purge((void *)span->start, runs_bytes(span));
    }
}

static void give_untouched(struct span *span) {
    span->held = 0;
    give(span);
}

void pages_give(struct span *span) {
    runs_mark_held(span);
    give(span);
}

/* Cuts a used run in two used ones; returns the second. */
static struct span *shorten(struct span *span, size_t granules) {
    struct span *rest = span + granules;
    lock_acquire(&pages_lock);
    rest->start = span->start + granules * GRANULE;
    rest->granules = (uint32_t)(span->granules - granules);
    span->granules = (uint32_t)granules;
    runs_mark_used(span);
    runs_mark_used(rest);
    lock_release(&pages_lock);
    return rest;
}

struct span *pages_take(size_t granules, size_t align_granules, bool *zero) {
    if (granules + align_granules > PTRDIFF_MAX / GRANULE ||
        granules + align_granules > UINT32_MAX) {
        return NULL;
    }
    struct span *span = take(granules + align_granules - 1, zero);
    if (span == NULL) {
        return NULL;
    }
    regret_missed((span->granules - span->held) * GRANULE);
    if (*zero) {
        hugepages_handed_out(span);
    }
    if (align_granules == 1) {
        return span;
    }
    size_t first = align_up(span->start, align_granules * GRANULE);
    size_t skip = (first - span->start) >> GRANULE_SHIFT;
    if (skip > 0) {
        struct span *front = span;
        span = front + skip;
        lock_acquire(&pages_lock);
        span->start = first;
        span->granules = (uint32_t)(front->granules - skip);
        front->granules = (uint32_t)skip;
        runs_mark_used(span);
        runs_mark_used(front);
        lock_release(&pages_lock);
        (*zero ? give_untouched : pages_give)(front);
    }
    if (span->granules > granules) {
        struct span *rest = shorten(span, granules);
        (*zero ? give_untouched : pages_give)(rest);
    }
    return span;
}

void pages_shorten(struct span *span, size_t granules) {
    pages_give(shorten(span, granules));
}

bool pages_lengthen(struct span *span, size_t granules) {
    size_t more = granules - span->granules;
    bool done = false;
    lock_acquire(&pages_lock);
    struct span *after = span + span->granules;
    if (!is_forgotten(span) && (after->state == SPAN_DIRTY || after->state == SPAN_CLEAN) &&
        after->granules >= more) {
        runs_take_out(after);
        runs_split(after, more);
        runs_mark_clean(after);
        span->granules = (uint32_t)granules;
        runs_mark_used(span);
        done = true;
    }
    lock_release(&pages_lock);
    return done;
}

/* Purges what a run holds that is in no list, and makes it free. Returns bytes purged. */
static size_t purge(struct span *span, uint64_t now_ms) {
    size_t from, end = span->granules, granules = 0, calls = 0;
    while (runs_held_stretch(span, &from, &end)) {
        struct span part = {.start = span->start + from * GRANULE,
                            .granules = (uint32_t)(end - from),
                            .held = (uint32_t)(end - from)};
        calls++;
        if (os_purge((void *)part.start, runs_bytes(&part))) {
            granules += part.granules;
            runs_mark_clean(&part);
            pagemap_purge_bits(&part);
            hugepages_purged(part.start, runs_bytes(&part));
        }
        end = from;
    }
    size_t bytes = runs_bytes(span);
    /* Locked memory, on older kernels. */
    if (granules == 0 && calls != 0 && growth_unmap(span)) {
        return bytes;
    }
    lock_acquire(&pages_lock);
    span->held -= (uint32_t)granules;
    span->freed_at_ms = now_ms;
    span->state = SPAN_DIRTY;
    runs_insert_joined(span);
    lock_bump(&purges, calls);
    lock_bump(&purged_bytes, granules * GRANULE);
    lock_release(&pages_lock);
    return granules * GRANULE;
}

size_t pages_purge(uint64_t now_ms, uint64_t age_ms) {
    size_t total = 0, bytes;
    do {
        lock_acquire(&pages_lock);
        struct span *span = runs_oldest();
        if (span == NULL || !os_aged(span->freed_at_ms, now_ms, age_ms)) {
            lock_release(&pages_lock);
            return total;
        }
        runs_take_out(span);
        runs_mark_used(span);
        lock_release(&pages_lock);
        bytes = purge(span, now_ms);
        total += bytes;
    } while (bytes != 0);
    return total;
}

/* Cuts from a run that is in no list the upper part of which up to `granules` hold memory, whole
 * huge pages first; the rest is free. */
static struct span *upper_part(struct span *span, size_t granules) {
    size_t end = span->granules - hugepages_shared(span), from, to = end;
    if (!runs_held_stretch(span, &from, &to)) {
        end = span->granules;
    }
    size_t at = hugepages_whole(span, runs_upper_part(span, end, granules));
    runs_split(span, end);
    return runs_split_upper(span, at);
}

size_t pages_purge_oldest(size_t bytes) {
    lock_acquire(&pages_lock);
    struct span *span = runs_oldest();
    if (span != NULL) {
        runs_take_out(span);
        span = upper_part(span, (bytes + GRANULE - 1) / GRANULE);
        runs_mark_used(span);
    }
    lock_release(&pages_lock);
    return span != NULL ? purge(span, os_coarse_ms()) : 0;
}

bool pages_oldest(uint64_t *freed_at_ms) {
    lock_acquire(&pages_lock);
    struct span *span = runs_oldest();
    if (span != NULL) {
        *freed_at_ms = span->freed_at_ms;
    }
    lock_release(&pages_lock);
    return span != NULL;
}

/* Unmaps the free runs of a state. */
static size_t unmap_all(enum span_state state) {
    size_t total = 0;
    struct span *refused = NULL, *span;
    lock_acquire(&pages_lock);
    while ((span = runs_best_fit(state, 1)) != NULL) {
        runs_take_out(span);
        runs_mark_used(span);
        lock_release(&pages_lock);
        size_t bytes = runs_bytes(span);
        if (growth_unmap(span)) {
            total += bytes;
        } else {
            span->next = refused;
            refused = span;
        }
        lock_acquire(&pages_lock);
    }
    while ((span = refused) != NULL) {
        refused = span->next;
        span->state = (uint8_t)state;
        runs_insert_joined(span);
    }
    lock_release(&pages_lock);
    return total;
}

size_t pages_unmap(void) {
    size_t bytes = unmap_all(SPAN_DIRTY);
    return bytes + unmap_all(SPAN_CLEAN);
}

void pages_forget(void) {
    runs_forget();
    pagemap_forget();
}

uint64_t pages_used_bytes(void) {
    uint64_t free = runs_free_bytes(), committed = growth_committed();
    return committed > free ? committed - free : 0;
}

uint64_t pages_dirty_bytes(void) {
    return runs_held_bytes();
}

void pages_stats(struct pages_stats *out) {
    *out = (struct pages_stats){
        .committed = growth_committed(),
        .dirty = runs_held_bytes(),
        .claimed = growth_claimed(),
        .purged = atomic_load_explicit(&purged_bytes, memory_order_relaxed),
        .purges = atomic_load_explicit(&purges, memory_order_relaxed),
    };
}
