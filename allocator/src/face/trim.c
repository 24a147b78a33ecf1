#include "face/trim.h"
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "pages/bigcache.h"
#include "pages/pages.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/dirty.h"
#include "stores/idle.h"
#include "stores/spans.h"

/* Decay periods that the cache of an ended thread waits for another: config.decay_ms. */
#define CACHE_PERIODS 4

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

size_t trim_relieve(void) {
    cache_drain();
    central_drain();
    size_t bytes = bigcache_decay(UINT64_MAX);
    return bytes + pages_unmap();
}

size_t trim_all(void) {
    cache_drain();
    idle_drain();
    central_drain();
    size_t bytes = bigcache_decay(UINT64_MAX);
    bytes += spans_trim();
    bytes += pages_purge(os_coarse_ms(), 0);
    bytes += cache_purge(0);
    return bytes;
}
