#include "pages.h"
#include "growth.h"
#include "os.h"
#include "runs.h"

#define PURGE_BATCH 64

struct lock pages_lock;

static _Atomic uint64_t purged_bytes, purges;

static bool is_forgotten(const struct span *span) {
    return pagemap_is_forgotten((void *)span->start);
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
    *zero = span->state == SPAN_CLEAN;
    runs_take_out(span);
    runs_split(span, granules);
    runs_mark_used(span);
    return span;
}

bool pages_init(void) {
    bool grown = growth_init();
    lock_init(&pages_lock, "pages", -1, RANK_PAGES);
    return grown;
}

static struct span *take(enum run_kind kind, size_t granules, bool *zero) {
    lock_acquire(&pages_lock);
    struct span *span = take_free(kind, granules, zero);
    lock_release(&pages_lock);
    if (span != NULL) {
        return span;
    }
    lock_acquire(&growth_lock);
    /* Perhaps somebody has just mapped a piece, or given a run back. */
    lock_acquire(&pages_lock);
    span = take_free(kind, granules, zero);
    lock_release(&pages_lock);
    if (span == NULL) {
        span = growth_take(kind, granules);
        *zero = true;
    }
    lock_release(&growth_lock);
    if (span == NULL) {
        /* The system refuses: perhaps the other kind has a run. */
        lock_acquire(&pages_lock);
        for (int k = 0; span == NULL && k < RUN_KINDS; k++) {
            span = take_free((enum run_kind)k, granules, zero);
        }
        lock_release(&pages_lock);
    }
    return span;
}

struct span *pages_take(size_t granules, size_t align_granules, enum run_kind kind, bool *zero) {
    if (granules + align_granules > PTRDIFF_MAX / GRANULE ||
        granules + align_granules > UINT32_MAX) {
        return NULL;
    }
    struct span *span = take(kind, granules + align_granules - 1, zero);
    if (span == NULL || align_granules == 1) {
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
        pages_give(front);
    }
    if (span->granules > granules) {
        pages_shorten(span, granules);
    }
    return span;
}

void pages_give(struct span *span) {
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

void pages_shorten(struct span *span, size_t granules) {
    uint64_t now = os_coarse_ms();
    lock_acquire(&pages_lock);
    struct span *rest = span + granules;
    rest->start = span->start + granules * GRANULE;
    rest->granules = (uint32_t)(span->granules - granules);
    span->granules = (uint32_t)granules;
    runs_mark_used(span);
    if (is_forgotten(span)) {
        lock_release(&pages_lock);
        return;
    }
    rest->kind = span->kind;
    rest->freed_at_ms = now;
    rest->state = SPAN_DIRTY;
    runs_insert_joined(rest);
    lock_release(&pages_lock);
}

bool pages_lengthen(struct span *span, size_t granules) {
    size_t more = granules - span->granules;
    bool done = false;
    lock_acquire(&pages_lock);
    struct span *after = span + span->granules;
    if (!is_forgotten(span) && (after->state == SPAN_DIRTY || after->state == SPAN_CLEAN) &&
        after->kind == span->kind && after->granules >= more) {
        runs_take_out(after);
        runs_split(after, more);
        span->granules = (uint32_t)granules;
        runs_mark_used(span);
        done = true;
    }
    lock_release(&pages_lock);
    return done;
}

size_t pages_purge(uint64_t now_ms, uint64_t age_ms) {
    size_t total = 0;
    struct span *batch[PURGE_BATCH];
    bool progress;
    int n;
    do {
        n = 0;
        progress = false;
        lock_acquire(&pages_lock);
        for (struct span *span = runs_oldest();
             n < PURGE_BATCH && span != NULL && os_aged(span->freed_at_ms, now_ms, age_ms);
             span = runs_oldest()) {
            runs_take_out(span);
            runs_mark_used(span);
            batch[n++] = span;
        }
        lock_release(&pages_lock);
        bool purged[PURGE_BATCH];
        for (int i = 0; i < n; i++) {
            size_t bytes = runs_bytes(batch[i]);
            purged[i] = os_purge((void *)batch[i]->start, bytes);
            /* Locked memory, on older kernels. */
            if (!purged[i] && growth_unmap(batch[i])) {
                batch[i] = NULL;
                total += bytes;
                progress = true;
            }
        }
        lock_acquire(&pages_lock);
        for (int i = 0; i < n; i++) {
            if (batch[i] == NULL) {
                continue;
            }
            batch[i]->state = purged[i] ? SPAN_CLEAN : SPAN_DIRTY;
            batch[i]->freed_at_ms = now_ms;
            total += purged[i] ? runs_bytes(batch[i]) : 0;
            progress |= purged[i];
            runs_insert_joined(batch[i]);
        }
        lock_bump(&purges, (uint64_t)(n > 0));
        lock_release(&pages_lock);
    } while (n == PURGE_BATCH && progress);
    lock_acquire(&pages_lock);
    lock_bump(&purged_bytes, total);
    lock_release(&pages_lock);
    return total;
}

/* Unmaps the free runs of a state. */
static size_t unmap_all(enum span_state state) {
    size_t total = 0;
    struct span *refused = NULL, *span;
    lock_acquire(&pages_lock);
    for (int kind = 0; kind < RUN_KINDS; kind++) {
        while ((span = runs_best_fit((enum run_kind)kind, state, 1)) != NULL) {
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
    uint64_t held = runs_free_bytes(SPAN_DIRTY) + runs_free_bytes(SPAN_CLEAN);
    uint64_t committed = growth_committed();
    return committed > held ? committed - held : 0;
}

void pages_stats(struct pages_stats *out) {
    *out = (struct pages_stats){
        .committed = growth_committed(),
        .dirty = runs_free_bytes(SPAN_DIRTY),
        .claimed = growth_claimed(),
        .purged = atomic_load_explicit(&purged_bytes, memory_order_relaxed),
        .purges = atomic_load_explicit(&purges, memory_order_relaxed),
    };
}
