#include "decay.h"
#include "bigcache.h"
#include "cache.h"
#include "central.h"
#include "config.h"
#include "dirty.h"
#include "idle.h"
#include "os.h"
#include "pages.h"

_Atomic uint32_t decay_now;
static _Atomic uint64_t next_ms;

bool decay_due(void) {
    uint64_t now = os_coarse_ms();
    uint64_t due = atomic_load_explicit(&next_ms, memory_order_relaxed);
    if (likely(now < due)) {
        return false;
    }
    uint64_t period = config.decay_ms / 4 + 1;
    return atomic_compare_exchange_strong_explicit(&next_ms, &due, now + period,
                                                   memory_order_relaxed, memory_order_relaxed) &&
           due != 0;
}

void decay_run(void) {
    uint64_t now = os_coarse_ms();
    atomic_fetch_add_explicit(&decay_now, 1, memory_order_relaxed);
    cache_count_active();
    idle_decay();
    central_decay();
    central_purge(now, config.decay_ms);
    pages_purge(now, config.decay_ms);
    bigcache_decay(now);
    dirty_decay();
}
