#include "pages.h"
#include "config.h"
#include "dirty.h"
#include "os.h"
#include "runs.h"

/* Address space asked for first; halved until the system agrees. Costs no memory: the page map's
 * bytes and descriptors are committed as they are used. */
#define RESERVE_FIRST (256 * GIB)
#define RESERVE_LEAST (4 * MIB)

/* Made usable at a time. */
#define COMMIT_LEAST (4 * MIB)
#define COMMIT_MOST (64 * MIB)

/* Bytes in use before huge pages are asked for, where they are: a small program would pay for
 * zeroing, and keep, two megabytes it never wanted. */
#define HUGE_PAGES_FROM (8 * MIB)

struct lock pages_lock;

static _Atomic uint64_t purged_bytes, purges;

static struct range *range_of(const struct span *span) {
    return pagemap_range((void *)span->start);
}

/* A used run out of the free ones, or NULL. Requires the lock. */
static struct span *take_free(enum run_kind kind, size_t granules, bool *zero) {
    struct span *span = runs_best_fit(kind, SPAN_DIRTY, granules);
    if (span == NULL) {
        span = runs_best_fit(kind, SPAN_CLEAN, granules);
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

/* Claims address space nobody used yet; the run is in no list and not usable. *noted says that its
 * descriptors are. Requires the lock. */
static struct span *claim(size_t granules, bool *noted) {
    struct span *raw = runs_best_fit(RUN_SPARSE, SPAN_RAW, granules);
    *noted = raw != NULL;
    if (raw != NULL) {
        runs_take_out(raw);
        runs_split(raw, granules);
        /* In no list: neighbours that come back meanwhile must not join it. */
        runs_mark_used(raw);
        return raw;
    }
    /* The newest first; what is left of an older one serves when the system grants no further. */
    int i = atomic_load_explicit(&range_count, memory_order_acquire) - 1;
    size_t bytes = granules * GRANULE;
    while (i >= 0 && ranges[i].bytes - ranges[i].frontier < bytes) {
        i--;
    }
    if (i < 0) {
        return NULL;
    }
    struct range *range = &ranges[i];
    struct span *span = &range->spans[range->frontier >> GRANULE_SHIFT];
    /* Its descriptor may not be usable yet: the caller commits, then fills it in. */
    range->frontier += bytes;
    return span;
}

static void give_raw(struct span *span, uintptr_t start, size_t granules) {
    span->start = start;
    span->granules = (uint32_t)granules;
    span->state = SPAN_RAW;
    span->kind = RUN_SPARSE; /* of no kind yet: whoever claims it decides */
    runs_insert_joined(span);
}

static uint64_t committed_bytes(void) {
    uint64_t sum = 0;
    int count = atomic_load_explicit(&range_count, memory_order_acquire);
    for (int i = 0; i < count; i++) {
        sum += atomic_load_explicit(&ranges[i].committed, memory_order_relaxed);
    }
    return sum;
}

/* A used run from new address space: a generous piece if the system grants it, else just what is
 * needed. Takes the lock and drops it; the system calls are made without it. */
static struct span *grow(enum run_kind kind, size_t granules, bool *zero) {
    uint64_t committed = committed_bytes();
    size_t wanted = committed / 8 < COMMIT_LEAST ? COMMIT_LEAST : committed / 8;
    wanted = wanted > COMMIT_MOST ? COMMIT_MOST : wanted & ~(COMMIT_LEAST - 1);
    size_t generous = align_up(granules * GRANULE, HUGE_PAGE);
    size_t pieces[2] = {(wanted > generous ? wanted : generous) / GRANULE, granules};
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t n = pieces[attempt];
        lock_acquire(&pages_lock);
        bool noted;
        struct span *span = claim(n, &noted);
        lock_release(&pages_lock);
        if (span == NULL) {
            continue;
        }
        /* The descriptor's place gives the address; the descriptor itself may not be readable. */
        struct range *range = NULL;
        int count = atomic_load_explicit(&range_count, memory_order_acquire);
        for (int i = 0; i < count; i++) {
            size_t all = ranges[i].bytes >> GRANULE_SHIFT;
            if (span >= ranges[i].spans && span < ranges[i].spans + all) {
                range = &ranges[i];
            }
        }
        size_t offset = (size_t)(span - range->spans) * GRANULE;
        bool usable = pagemap_commit(range, offset, n * GRANULE);
        if (!usable && !noted && !pagemap_commit_spans(range, offset, n * GRANULE)) {
            /* Not even the descriptors: nothing can be noted. If it is still the last claim, undo
             * it; else this address space (not memory) is lost. */
            lock_acquire(&pages_lock);
            if (range->frontier == offset + n * GRANULE) {
                range->frontier = offset;
            }
            lock_release(&pages_lock);
            continue;
        }
        if (usable && kind == RUN_DENSE && committed >= HUGE_PAGES_FROM && config.hugepages) {
            os_advise_huge((void *)(range->base + offset), n * GRANULE);
        }
        lock_acquire(&pages_lock);
        if (!usable) {
            give_raw(span, range->base + offset, n);
            lock_release(&pages_lock);
            continue;
        }
        span->start = range->base + offset;
        span->granules = (uint32_t)n;
        span->state = SPAN_CLEAN;
        span->held = 0;
        span->kind = (uint8_t)kind;
        runs_split(span, granules);
        runs_mark_used(span);
        lock_release(&pages_lock);
        *zero = true;
        return span;
    }
    return NULL;
}

/* Serialises the adding of ranges: the one lock that is held across system calls, because whoever
 * waits for it could do nothing but make the same ones. Rank RANGES, just below PAGES. */
static struct lock ranges_lock;

static bool add_range(size_t bytes) {
    size_t limit = os_address_limit();
    size_t most = limit == SIZE_MAX ? RESERVE_FIRST : limit / 4;
    size_t least = bytes < RESERVE_LEAST ? RESERVE_LEAST : align_up(bytes, RESERVE_LEAST);
    for (size_t ask = most > least ? most & ~(RESERVE_LEAST - 1) : least;; ask /= 2) {
        ask = ask < least ? least : align_up(ask, RESERVE_LEAST);
        if (pagemap_add_range(ask)) {
            return true;
        }
        if (ask == least) {
            return false;
        }
    }
}

bool pages_init(void) {
    lock_init(&ranges_lock, "ranges", -1);
    lock_init(&pages_lock, "pages", -1);
    return add_range(0);
}

/* Granules of the free run of a kind that ends where new address space begins; 0 also while some of
 * the range is not usable, for then descriptors may not be readable. Requires the lock. */
static size_t free_at_frontier(enum run_kind kind) {
    struct range *range = &ranges[atomic_load_explicit(&range_count, memory_order_relaxed) - 1];
    if (range->frontier == 0 ||
        range->frontier != atomic_load_explicit(&range->committed, memory_order_relaxed)) {
        return 0;
    }
    struct span *last = &range->spans[(range->frontier >> GRANULE_SHIFT) - 1];
    bool free = last->state == SPAN_DIRTY || last->state == SPAN_CLEAN;
    return free && last->kind == kind ? last[-(ptrdiff_t)last->back].granules : 0;
}

/* Makes the last free run as long as needed, so that a block which is made anew a little longer
 * each time stays where it is. Somebody else may get it first: then NULL. */
static struct span *grow_last(enum run_kind kind, size_t granules, bool *zero) {
    lock_acquire(&pages_lock);
    size_t there = free_at_frontier(kind);
    lock_release(&pages_lock);
    if (there == 0 || there >= granules) {
        return NULL;
    }
    struct span *more = grow(kind, granules - there, zero), *span = NULL;
    if (more != NULL) {
        lock_acquire(&pages_lock);
        more->state = SPAN_CLEAN;
        more->held = 0;
        runs_insert_joined(more);
        span = take_free(kind, granules, zero);
        lock_release(&pages_lock);
    }
    return span;
}

static struct span *take(enum run_kind kind, size_t granules, bool *zero) {
    lock_acquire(&pages_lock);
    struct span *span = take_free(kind, granules, zero);
    if (span == NULL && granules >= HUGE_PAGE / GRANULE) {
        /* Whole huge pages of the other kind are as good as new ones. */
        span = take_free(kind == RUN_DENSE ? RUN_SPARSE : RUN_DENSE, granules, zero);
    }
    lock_release(&pages_lock);
    if (span == NULL) {
        span = grow_last(kind, granules, zero);
    }
    if (span == NULL) {
        span = grow(kind, granules, zero);
    }
    if (span == NULL) {
        /* The range is full, or the system refuses: perhaps the other kind has a run, perhaps
         * somebody gave one back meanwhile, perhaps there can be another range. */
        lock_acquire(&ranges_lock);
        lock_acquire(&pages_lock);
        for (int k = 0; span == NULL && k < RUN_KINDS; k++) {
            span = take_free((enum run_kind)k, granules, zero);
        }
        struct range *last = &ranges[atomic_load_explicit(&range_count, memory_order_relaxed) - 1];
        bool full = last->bytes - last->frontier < granules * GRANULE;
        lock_release(&pages_lock);
        /* Not full: somebody has just added one. */
        if (span == NULL && (!full || add_range(granules * GRANULE))) {
            span = grow(kind, granules, zero);
        }
        lock_release(&ranges_lock);
    }
    return span;
}

/* A used run becomes free as it is: its granules hold what they are marked to hold. */
static void give(struct span *span) {
    uint32_t now = (uint32_t)os_coarse_ms();
    lock_acquire(&pages_lock);
    span->freed_at_ms = now;
    span->state = SPAN_DIRTY;
    runs_insert_joined(span);
    lock_release(&pages_lock);
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
    rest->kind = span->kind;
    span->granules = (uint32_t)granules;
    runs_mark_used(span);
    runs_mark_used(rest);
    lock_release(&pages_lock);
    return rest;
}

struct span *pages_take(size_t granules, size_t align_granules, enum run_kind kind, bool *zero) {
    if (granules + align_granules > PTRDIFF_MAX / GRANULE ||
        granules + align_granules > UINT32_MAX) {
        return NULL;
    }
    kind = config.hugepages ? kind : RUN_SPARSE;
    struct span *span = take(kind, granules + align_granules - 1, zero);
    if (span == NULL) {
        return NULL;
    }
    dirty_missed((span->granules - span->held) * GRANULE);
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
        span->kind = front->kind;
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
    struct range *range = range_of(span);
    bool inside = span->start + runs_bytes(span) < range->base + range->frontier;
    if (inside && (after->state == SPAN_DIRTY || after->state == SPAN_CLEAN) &&
        after->kind == span->kind && after->granules >= more) {
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
static size_t purge(struct span *span, uint32_t now_ms) {
    size_t from, end = span->granules, granules = 0, calls = 0;
    while (runs_held_stretch(span, &from, &end)) {
        struct span part = {.start = span->start + from * GRANULE,
                            .granules = (uint32_t)(end - from),
                            .held = (uint32_t)(end - from)};
        calls++;
        if (os_purge((void *)part.start, runs_bytes(&part))) {
            granules += part.granules;
            runs_mark_clean(&part);
        }
        end = from;
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
    uint32_t cutoff = (uint32_t)(now_ms - age_ms);
    size_t total = 0, bytes;
    do {
        lock_acquire(&pages_lock);
        struct span *span = runs_oldest();
        if (span == NULL || (int32_t)(cutoff - span->freed_at_ms) < 0) {
            lock_release(&pages_lock);
            return total;
        }
        runs_take_out(span);
        runs_mark_used(span);
        lock_release(&pages_lock);
        bytes = purge(span, (uint32_t)now_ms);
        total += bytes;
    } while (bytes != 0);
    return total;
}

size_t pages_purge_oldest(size_t bytes) {
    size_t granules = (bytes + GRANULE - 1) / GRANULE;
    lock_acquire(&pages_lock);
    struct span *span = runs_oldest();
    if (span != NULL) {
        runs_take_out(span);
        span = runs_split_upper(span, runs_upper_part(span, granules));
        runs_mark_used(span);
    }
    lock_release(&pages_lock);
    return span != NULL ? purge(span, (uint32_t)os_coarse_ms()) : 0;
}

bool pages_oldest(uint32_t *freed_at_ms) {
    lock_acquire(&pages_lock);
    struct span *span = runs_oldest();
    if (span != NULL) {
        *freed_at_ms = span->freed_at_ms;
    }
    lock_release(&pages_lock);
    return span != NULL;
}

uint64_t pages_used_bytes(void) {
    uint64_t free = runs_free_bytes(), committed = committed_bytes();
    return committed > free ? committed - free : 0;
}

uint64_t pages_dirty_bytes(void) {
    return runs_held_bytes();
}

void pages_stats(struct pages_stats *out) {
    int count = atomic_load_explicit(&range_count, memory_order_acquire);
    *out = (struct pages_stats){
        .committed = committed_bytes(),
        .dirty = runs_held_bytes(),
        .purged = atomic_load_explicit(&purged_bytes, memory_order_relaxed),
        .purges = atomic_load_explicit(&purges, memory_order_relaxed),
    };
    for (int i = 0; i < count; i++) {
        out->reserved += ranges[i].bytes;
    }
}
