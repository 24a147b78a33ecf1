#include "dirty.h"
#include "bigcache.h"
#include "config.h"
#include "growth.h"
#include "huge.h"
#include "pages.h"
#include "spans.h"

#include <stdatomic.h>

/* The part of the memory in use that may be held beside it. */
#define PART 4

/* Given back by the bound since the last decay and not missed yet; allowed because it was missed.
 * Racy: a few bytes more or less do not matter. */
static _Atomic uint64_t returned, allowed;

/* The most that was in use lately. Racy, too. */
static _Atomic uint64_t peak;

static uint64_t read(const _Atomic uint64_t *of) {
    return atomic_load_explicit(of, memory_order_relaxed);
}

static void set(_Atomic uint64_t *of, uint64_t n) {
    atomic_store_explicit(of, n, memory_order_relaxed);
}

void dirty_missed(size_t bytes) {
    uint64_t back = read(&returned);
    if (back != 0) {
        uint64_t missed = bytes < back ? bytes : back, more = read(&allowed) + 2 * missed;
        set(&returned, back - missed);
        set(&allowed, more);
    }
}

uint64_t dirty_bytes(void) {
    return pages_dirty_bytes() + bigcache_bytes() + spans_bare_bytes();
}

static uint64_t used_bytes(void) {
    uint64_t used = pages_used_bytes() + huge_bytes(), hollow = spans_hollow_bytes();
    return used > hollow ? used - hollow : 0;
}

/* What is in use, and the peak with it. */
static uint64_t note_used(void) {
    uint64_t used = used_bytes();
    if (used > read(&peak)) {
        set(&peak, used);
    }
    return used;
}

static uint64_t bound_of(uint64_t used) {
    return used / PART > config.dirty ? used / PART : config.dirty;
}

uint64_t dirty_limit(void) {
    uint64_t used = note_used(), bound = bound_of(used), more = read(&allowed);
    uint64_t top = read(&peak), mapped = growth_committed();
    top += bound_of(top);
    uint64_t there = (mapped > top ? mapped : top) - used;
    more = more < there ? more : there;
    return bound > more ? bound : more;
}

void dirty_decay(void) {
    uint64_t used = note_used(), top = read(&peak);
    set(&peak, top - (top - used) / 4);
    set(&returned, 0);
    set(&allowed, read(&allowed) / 4 * 3);
    dirty_bound();
}

/* Purges of the kind there is more of: where both are about as much, neither is for ever the one
 * that gives way. Of runs and mappings the oldest. Returns bytes. */
static size_t purge(size_t bytes) {
    if (spans_bare_bytes() > pages_dirty_bytes() + bigcache_bytes()) {
        return spans_purge_barest();
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
    size_t bytes;
    while (dirty > enough && (bytes = purge(dirty - enough)) != 0) {
        set(&returned, read(&returned) + bytes);
        dirty = dirty_bytes();
    }
}
