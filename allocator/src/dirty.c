#include "dirty.h"
#include "bigcache.h"
#include "config.h"
#include "growth.h"
#include "huge.h"
#include "os.h"
#include "pages.h"
#include "spans.h"

#include <stdatomic.h>

/* The part of the memory in use that may be held beside it. */
#define PART 4

/* What the bound gave back and was taken anew would better have stayed. Racy: a few bytes more or
 * less do not matter. */
struct regret {
    _Atomic uint64_t returned; /* given back lately, and not missed yet */
    _Atomic uint64_t allowed;  /* because it was missed */
};

/* Within milliseconds: nothing else could have used it meanwhile. */
#define SOON_MS 8
static struct regret soon;
static _Atomic uint64_t soon_since_ms;

/* Since the last step of decay. */
static struct regret later;

/* The most that was in use lately. Racy, too. */
static _Atomic uint64_t peak;

static uint64_t read(const _Atomic uint64_t *of) {
    return atomic_load_explicit(of, memory_order_relaxed);
}

static void set(_Atomic uint64_t *of, uint64_t n) {
    atomic_store_explicit(of, n, memory_order_relaxed);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void miss(struct regret *regret, uint64_t bytes) {
    uint64_t back = read(&regret->returned), missed = least(bytes, back);
    if (missed != 0) {
        set(&regret->returned, back - missed);
        set(&regret->allowed, read(&regret->allowed) + 2 * missed);
    }
}

void dirty_missed(size_t bytes) {
    miss(&later, bytes);
    if (read(&soon.returned) != 0 && os_coarse_ms() - read(&soon_since_ms) <= 2 * SOON_MS) {
        miss(&soon, bytes);
    }
}

static size_t note_returned(size_t bytes) {
    uint64_t now = os_coarse_ms();
    if (now - read(&soon_since_ms) > SOON_MS) {
        set(&soon_since_ms, now);
        set(&soon.returned, 0);
    }
    set(&soon.returned, read(&soon.returned) + bytes);
    set(&later.returned, read(&later.returned) + bytes);
    return bytes;
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
    return most(used / PART, config.dirty);
}

uint64_t dirty_limit(void) {
    uint64_t used = note_used(), top = read(&peak);
    uint64_t bound = bound_of(used), there = most(growth_committed(), top + bound_of(top)) - used;
    uint64_t steady = most(least(bound + read(&soon.allowed), there),
                           least(bound + read(&later.allowed), top - used));
    return most(bound, steady);
}

void dirty_decay(void) {
    uint64_t used = note_used(), top = read(&peak);
    set(&peak, top - (top - used) / 4);
    set(&soon.allowed, read(&soon.allowed) / 4 * 3);
    set(&later.allowed, read(&later.allowed) / 4 * 3);
    set(&later.returned, 0);
    dirty_bound();
}

/* Purges of the kind there is more of: where both are about as much, neither is for ever the one
 * that gives way. Of runs and mappings the oldest. Returns bytes. */
static size_t purge(size_t bytes) {
    if (spans_bare_bytes() > pages_dirty_bytes() + bigcache_bytes()) {
        return spans_purge_oldest();
    }
    uint64_t run_ms = 0, mapping_ms = 0;
    bool run = pages_oldest(&run_ms), mapping = bigcache_oldest(&mapping_ms);
    if (mapping && (!run || run_ms > mapping_ms)) {
        return note_returned(bigcache_end_oldest());
    }
    return note_returned(pages_purge_oldest(bytes));
}

void dirty_bound(void) {
    uint64_t limit = dirty_limit(), dirty = dirty_bytes();
    if (likely(dirty <= limit)) {
        return;
    }
    uint64_t enough = limit / 16 * 15;
    size_t bytes;
    while (dirty > enough && (bytes = purge(dirty - enough)) != 0) {
        dirty = dirty_bytes();
    }
}
