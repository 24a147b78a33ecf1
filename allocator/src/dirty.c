#include "dirty.h"
#include "bigcache.h"
#include "central.h"
#include "config.h"
#include "huge.h"
#include "pages.h"

/* The part of the memory in use that may be held beside it. */
#define PART 4

uint64_t dirty_bytes(void) {
    return pages_dirty_bytes() + bigcache_bytes() + central_bare_bytes();
}

uint64_t dirty_limit(void) {
    uint64_t used = pages_used_bytes() + huge_bytes(), hollow = central_hollow_bytes();
    uint64_t part = (used > hollow ? used - hollow : 0) / PART;
    return part > config.dirty ? part : config.dirty;
}

/* Purges of the kind there is more of: where both are about as much, neither is for ever the one
 * that gives way. Of runs and mappings the oldest. Returns bytes. */
static size_t purge(size_t bytes) {
    if (central_bare_bytes() > pages_dirty_bytes() + bigcache_bytes()) {
        return central_purge_barest();
    }
    uint64_t run_ms = 0, mapping_ms = 0;
    bool run = pages_oldest(&run_ms), mapping = bigcache_oldest(&mapping_ms);
    if (mapping && (!run || run_ms > mapping_ms)) {
        return bigcache_end_oldest();
    }
    return pages_purge_oldest(bytes);
}

void dirty_bound(void) {
    uint64_t limit = dirty_limit(), dirty = dirty_bytes();
    if (likely(dirty <= limit)) {
        return;
    }
    uint64_t enough = limit / 4 * 3;
    while (dirty > enough && purge(dirty - enough) != 0) {
        dirty = dirty_bytes();
    }
}
