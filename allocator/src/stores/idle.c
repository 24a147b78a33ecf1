#include "stores/idle.h"
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/room.h"

#include <string.h>

static _Atomic uint64_t taken;

/* Suspensions so far; those up to `settled` are long past; those up to `marked` will be
 * IDLE_SETTLE_MS after marked_ms. CACHES. */
static uint64_t turns, settled, marked, marked_ms;

static bool is_possible(void) {
    return config.idle && !config.check;
}

static bool is_suspended(const struct cache *cache) {
    return atomic_load_explicit(&cache->suspended, memory_order_relaxed);
}

/* Blocks of the bin that no operation in flight can touch; at most `most`. CACHES. */
static unsigned take(struct cache *cache, unsigned cls, void **out, size_t most) {
    void **base = cache->base[cls];
    ptrdiff_t deep = atomic_load_explicit(&cache->bin[cls].top, memory_order_acquire) - base - 1;
    if (deep <= 0) {
        return 0;
    }
    size_t n = (size_t)deep < most ? (size_t)deep : most;
    memcpy(out, base, n * sizeof *out);
    base[n - 1] = NULL;
    cache->base[cls] = base + n;
    return (unsigned)n;
}

/* Requires CACHES: nobody can be in an operation any more that began before the suspension. */
static bool is_settled(const struct cache *cache) {
    return cache->turn <= settled && is_suspended(cache) &&
           !atomic_load_explicit(&cache->slow, memory_order_acquire);
}

static void empty(struct cache *cache) {
    void *blocks[32]; /* few: stacks may be short */
    unsigned n, cls = CLASS_FIRST;
    do {
        lock_acquire(&cache_lock);
        n = 0;
        /* Its thread may have come back at any time, and is then the only one to touch it; it may
         * also have been suspended again. */
        bool still = is_settled(cache);
        while (still && cls < CLASS_COUNT &&
               (n = take(cache, cls, blocks, sizeof blocks / sizeof blocks[0])) == 0) {
            cls++;
        }
        if (still && !cache->emptied) {
            cache->emptied = true;
            room_forget(cache);
        }
        lock_release(&cache_lock);
        if (n != 0) {
            central_give(cls, blocks, n);
            atomic_fetch_add_explicit(&taken, n, memory_order_relaxed);
        }
    } while (n != 0);
}

/* Suspends a cache that is not, so that its thread's next operation finds the stand-in; or takes
 * it from a thread that is no more: one whose first operation came in the last round of its
 * destructors has ended without telling, and where its cache_self was is now somebody else's
 * memory. */
static void suspend(struct cache *cache) {
    lock_acquire(&cache_lock);
    bool ended = cache->self != NULL && life_is_over(&cache->life);
    if (ended) {
        cache->self = NULL; /* whoever does this buries it */
    } else if (cache->self != NULL && !is_suspended(cache) &&
               !atomic_load_explicit(&cache->slow, memory_order_relaxed)) {
        cache->turn = ++turns;
        atomic_store_explicit(&cache->suspended, true, memory_order_relaxed);
        /* Sequentially consistent: from here on it is a matter of time. */
        atomic_store(cache->self, &cache_suspended);
    }
    lock_release(&cache_lock);
    if (ended) {
        cache_bury(cache);
    }
}

/* What was marked long ago is settled; and, where nothing is marked, what is suspended now will be.
 * The time of the mark is read here: the caller's may be old, as it can have been stopped since. */
static void settle(uint64_t now_ms) {
    lock_acquire(&cache_lock);
    if (settled < marked && now_ms >= marked_ms + IDLE_SETTLE_MS) {
        settled = marked;
    }
    if (settled >= marked) {
        marked = turns;
        marked_ms = os_coarse_ms();
    }
    lock_release(&cache_lock);
}

static bool is_due(struct cache *cache) {
    lock_acquire(&cache_lock);
    bool due = is_settled(cache) && !cache->emptied;
    lock_release(&cache_lock);
    return due;
}

void idle_decay(uint64_t now_ms) {
    if (!is_possible()) {
        return;
    }
    uint32_t now = decay_period();
    settle(now_ms);
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache == NULL) {
            continue;
        }
        uint32_t rested = now - atomic_load_explicit(&cache->active, memory_order_relaxed);
        if (is_due(cache)) {
            empty(cache);
        } else if (is_suspended(cache) || (rested > IDLE_PERIODS && rested < UINT32_MAX / 2)) {
            suspend(cache);
        }
    }
    settle(now_ms);
}

/* Waits until every suspension so far is past. False if that cannot be had now. */
static bool wait_until_past(void) {
    lock_acquire(&cache_lock);
    uint64_t turn = turns;
    bool past = turn == settled;
    lock_release(&cache_lock);
    if (past) {
        return true;
    }
    if (!os_pause_ms(IDLE_PAUSE_MS)) {
        return false;
    }
    lock_acquire(&cache_lock);
    settled = turn > settled ? turn : settled;
    lock_release(&cache_lock);
    return true;
}

void idle_drain(void) {
    if (!is_possible()) {
        return;
    }
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache != NULL && cache != cache_own()) {
            suspend(cache);
        }
    }
    if (!wait_until_past()) {
        return;
    }
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache != NULL && is_suspended(cache)) {
            empty(cache);
        }
    }
}

uint64_t idle_taken(void) {
    return atomic_load_explicit(&taken, memory_order_relaxed);
}
