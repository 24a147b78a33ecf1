/* stats: gathers what the boxes counted, on demand. No state of its own. */
#include "hakmem.h"

#include "base/lock.h"
#include "boxes/elo.h"
#include "boxes/guard.h"
#include "boxes/huge.h"
#include "boxes/large.h"
#include "face/check.h"
#include "face/init.h"
#include "face/stats.h"
#include "pages/bigcache.h"
#include "pages/pages.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/idle.h"
#include "tables/registry.h"

#include <string.h>

static const struct {
    const char *name;
    unsigned first, last;
} class_boxes[] = {
    {"tiny", CLASS_FIRST, CLASS_TINY_LAST},
    {"mid", CLASS_TINY_LAST + 1, CLASS_MID_LAST},
    {"pool", CLASS_MID_LAST + 1, CLASS_POOL_LAST},
    {"l25", CLASS_POOL_LAST + 1, CLASS_LAST},
};

static void class_box(struct hak_box_stats *box, const struct cache_stats *caches, unsigned first,
                      unsigned last) {
    for (unsigned cls = first; cls <= last; cls++) {
        struct central_stats central;
        central_stats(cls, &central);
        uint64_t size = sizeclass[cls].size;
        uint64_t out = central.taken - central.given;
        uint64_t cached = caches->blocks[cls] < out ? caches->blocks[cls] : out;
        box->allocations += central.taken;
        box->frees += central.given;
        box->refills += caches->refills[cls];
        box->flushes += caches->flushes[cls];
        box->purges += central.purges;
        box->bytes_in_use += (out - cached) * size;
        box->bytes_cached += (cached + central.stored) * size;
        box->bytes_committed += central.spans * sizeclass[cls].granules * GRANULE;
    }
}

static void boxes(struct hak_stats *out, const struct cache_stats *caches,
                  const struct pages_stats *pages) {
    for (size_t i = 0; i < sizeof class_boxes / sizeof class_boxes[0]; i++) {
        struct hak_box_stats *box = &out->box[out->box_count++];
        strcpy(box->name, class_boxes[i].name);
        class_box(box, caches, class_boxes[i].first, class_boxes[i].last);
    }
    struct hak_box_stats *box = &out->box[out->box_count++];
    struct large_stats runs;
    large_stats(&runs);
    strcpy(box->name, "run");
    box->allocations = runs.allocations;
    box->frees = runs.frees;
    box->bytes_in_use = box->bytes_committed = runs.bytes;
    box->bytes_cached = pages->dirty;
    box->purges = pages->purges;

    box = &out->box[out->box_count++];
    struct huge_stats huge;
    huge_stats(&huge);
    strcpy(box->name, "huge");
    box->allocations = huge.allocations;
    box->frees = huge.frees;
    box->bytes_in_use = huge.bytes;
    box->bytes_cached = out->bigcache_bytes;
    box->bytes_committed = huge.bytes + out->bigcache_bytes;
}

static uint64_t read(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void locks(struct hak_stats *out) {
    for (int i = 0; i < lock_count() && out->lock_count < HAK_STATS_LOCKS; i++) {
        const struct lock *lock = lock_at(i);
        if (read(&lock->acquisitions) == 0) {
            continue;
        }
        struct hak_lock_stats *to = &out->lock[out->lock_count++];
        lock_name(lock, to->name);
        to->acquisitions = read(&lock->acquisitions);
        to->spun = read(&lock->spun);
        to->waited = read(&lock->waited);
        to->wait_ns = lock_waited_ns(lock);
        to->max_wait_ns = read(&lock->max_wait_ns);
        to->owner_switches = read(&lock->owner_switches);
        to->max_waiters = read(&lock->max_waiters);
        to->hold_ns = read(&lock->hold_ns);
        to->hold_samples = read(&lock->hold_samples);
    }
}

void hak_stats_restart_peaks(void) {
    lock_time();
    for (int i = 0; i < lock_count(); i++) {
        struct lock *lock = lock_at(i);
        atomic_store_explicit(&lock->max_wait_ns, 0, memory_order_relaxed);
        atomic_store_explicit(&lock->max_waiters, 0, memory_order_relaxed);
    }
}

int hak_stats(struct hak_stats *out, size_t bytes) {
    if (bytes != sizeof *out) {
        return -1;
    }
    init_ensure();
    lock_time();
    memset(out, 0, sizeof *out);
    struct cache_stats caches;
    struct pages_stats pages;
    struct registry_stats registry;
    struct bigcache_stats bigcache;
    struct elo_stats elo;
    cache_stats(&caches);
    pages_stats(&pages);
    registry_stats(&registry);
    bigcache_stats(&bigcache);
    elo_stats(&elo);
    out->version = HAK_STATS_VERSION;
    out->threads = (uint32_t)caches.threads;
    out->active_threads = caches.active;
    out->cache_budget = caches.share;
    out->reserved_bytes = pages.claimed;
    out->committed_bytes = pages.committed;
    out->dirty_bytes = pages.dirty;
    out->purged_bytes = pages.purged;
    out->foreign_frees = guard_count();
    out->idle_taken = idle_taken();
    out->leaked_blocks = caches.leaked;
    out->registry_entries = registry.entries;
    out->registry_lookups = caches.registry_lookups;
    out->registry_retries = registry.retries;
    out->registry_growths = registry.growths;
    out->bigcache_hits = bigcache.hits;
    out->bigcache_misses = bigcache.misses;
    out->bigcache_bytes = bigcache.bytes;
    out->huge_threshold = elo_threshold();
    out->learner_matches = elo.matches;
    out->learner_moves = elo.moves;
    boxes(out, &caches, &pages);
    locks(out);
    return 0;
}

void stats_summary(struct stats_summary *out) {
    struct cache_stats caches;
    struct pages_stats pages;
    struct huge_stats huge;
    struct large_stats runs;
    struct bigcache_stats bigcache;
    init_ensure();
    cache_stats(&caches);
    pages_stats(&pages);
    huge_stats(&huge);
    large_stats(&runs);
    bigcache_stats(&bigcache);
    struct hak_box_stats box = {0};
    class_box(&box, &caches, CLASS_FIRST, CLASS_LAST);
    size_t used = box.bytes_in_use + runs.bytes, waiting = config.check ? check_waiting() : 0;
    waiting = waiting < used ? waiting : used;
    *out = (struct stats_summary){
        .mapped = pages.committed,
        .huge_count = huge.allocations - huge.frees,
        .huge_bytes = huge.bytes,
        .used = used - waiting,
        .free = box.bytes_cached + pages.dirty + waiting,
        .bigcache = bigcache.bytes,
    };
}

const char *hak_flavour(void) {
#ifdef HAK_FIXED
    return "fixed";
#else
    return "runtime";
#endif
}
