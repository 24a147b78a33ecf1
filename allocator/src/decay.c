#include "decay.h"
#include "bigcache.h"
#include "cache.h"
#include "central.h"
#include "config.h"
#include "dirty.h"
#include "idle.h"
#include "os.h"
#include "pages.h"
#include "spans.h"

_Atomic uint32_t decay_now;
static _Atomic uint64_t next_ms;

/* Decay periods that the cache of an ended thread waits for another: config.decay_ms. */
#define CACHE_PERIODS 4

bool decay_due(void) {
    uint64_t now = os_coarse_ms();
    uint64_t due = atomic_load_explicit(&next_ms, memory_order_relaxed);
    uint64_t period = config.decay_ms / 4 + 1;
    /* Later than it ever is: the clock was set back. (By another thread's clock it may be a bit.)
     */
    if (likely(now < due) && likely(due - now < period + 1000)) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&next_ms, &due, now + period,
                                                   memory_order_relaxed, memory_order_relaxed) &&
           due != 0;
}

void decay_run(void) {
    uint64_t now = os_coarse_ms();
    atomic_fetch_add_explicit(&decay_now, 1, memory_order_relaxed);
    cache_count_active();
    idle_decay(now);
    central_decay();
    spans_purge(now, config.decay_ms);
    pages_purge(now, config.decay_ms);
    bigcache_decay(now);
    cache_purge(CACHE_PERIODS);
    dirty_decay();
}

size_t decay_relieve(void) {
    cache_drain();
    central_drain();
    size_t bytes = bigcache_decay(UINT64_MAX);
    return bytes + pages_unmap();
}
