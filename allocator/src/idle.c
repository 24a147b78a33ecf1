#include "idle.h"
#include "cache.h"
#include "central.h"
#include "config.h"
#include "decay.h"
#include "os.h"
#include "room.h"

#include <string.h>

/* Periods between two questions whether the thread of an emptied cache still lives. */
#define ASK_PERIODS 16

static bool possible;
static _Atomic uint64_t taken;
static uint64_t turns; /* suspensions so far; CACHES */

void idle_init(void) {
    possible = config.idle && !config.check && os_barrier_init();
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

/* Makes a barrier; then `*passed` is the number of the last suspension before it. */
static bool barrier(uint64_t *passed) {
    lock_acquire(&cache_lock);
    uint64_t turn = turns;
    lock_release(&cache_lock);
    if (!os_barrier()) {
        return false;
    }
    *passed = turn;
    return true;
}

static void empty(struct cache *cache, uint64_t passed) {
    void *blocks[32]; /* few: stacks may be short */
    unsigned n, cls = CLASS_FIRST;
    do {
        lock_acquire(&cache_lock);
        n = 0;
        /* Its thread may have come back at any time, and is then the only one to touch it; it may
         * also have been suspended again, after the barrier. */
        bool still = cache->turn <= passed &&
                     atomic_load_explicit(&cache->suspended, memory_order_relaxed) &&
                     !atomic_load_explicit(&cache->slow, memory_order_acquire);
        while (still && cls < CLASS_COUNT &&
               (n = take(cache, cls, blocks, sizeof blocks / sizeof *blocks)) == 0) {
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
 * it from a thread that is no more.
 *
 * A thread whose first operation came in the last round of its destructors has ended without
 * telling, and where its cache_self was is now somebody else's memory: hence the question to the
 * kernel, outside the lock. Meanwhile the thread may tell after all, and another have its cache. */
static void suspend(struct cache *cache) {
    lock_acquire(&cache_lock);
    bool known = cache->self != NULL;
    uint64_t owner = cache->owner;
    int thread = cache->thread;
    lock_release(&cache_lock);
    if (!known) {
        return;
    }
    bool ended = os_thread_ended(thread);
    lock_acquire(&cache_lock);
    bool same = cache->self != NULL && cache->owner == owner;
    if (same && ended) {
        cache->self = NULL; /* whoever does this buries it */
    } else if (same && !is_suspended(cache) &&
               !atomic_load_explicit(&cache->slow, memory_order_relaxed)) {
        cache->since = decay_period();
        cache->turn = ++turns;
        atomic_store_explicit(&cache->suspended, true, memory_order_relaxed);
        atomic_store_explicit(cache->self, &cache_suspended, memory_order_relaxed);
    }
    lock_release(&cache_lock);
    if (same && ended) {
        cache_bury(cache);
    }
}

/* What to do about a suspended cache: its thread had time to come back and did not. */
enum due { NOTHING, EMPTY, ASK };

static enum due due_for(struct cache *cache, uint32_t now) {
    lock_acquire(&cache_lock);
    uint32_t periods = now - cache->since;
    enum due due = !cache->emptied ? EMPTY : periods % ASK_PERIODS == 0 ? ASK : NOTHING;
    lock_release(&cache_lock);
    return periods == 0 ? NOTHING : due;
}

void idle_decay(void) {
    if (!possible || !os_process_is_ours()) {
        return;
    }
    uint32_t now = decay_period();
    uint64_t passed = 0;
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache == NULL) {
            continue;
        }
        if (!is_suspended(cache)) {
            uint32_t active = atomic_load_explicit(&cache->active, memory_order_relaxed);
            if (now - active > IDLE_PERIODS && now - active < UINT32_MAX / 2) {
                suspend(cache);
            }
            continue;
        }
        enum due due = due_for(cache, now);
        if (due == ASK) {
            suspend(cache);
        } else if (due == EMPTY) {
            if (passed == 0 && !barrier(&passed)) {
                return;
            }
            empty(cache, passed);
        }
    }
}

void idle_drain(void) {
    if (!possible || !os_process_is_ours()) {
        return;
    }
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache != NULL) {
            suspend(cache);
        }
    }
    uint64_t passed;
    if (!barrier(&passed)) {
        return;
    }
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache != NULL && is_suspended(cache)) {
            empty(cache, passed);
        }
    }
}

uint64_t idle_taken(void) {
    return atomic_load_explicit(&taken, memory_order_relaxed);
}
