#include "stores/dirty.h"
#include "base/config.h"
#include "pages/bigcache.h"
#include "pages/growth.h"
#include "pages/mapping.h"
#include "pages/pages.h"
#include "pages/regret.h"
#include "stores/spans.h"

#include <stdatomic.h>

/* The part of the memory in use that may be held beside it. */
#define PART 4

/* And the part that may be held for one class while another grows. */
#define PART_GROWING 32

/* The most that was in use lately. Racy: a few bytes more or less do not matter. */
static _Atomic uint64_t peak;

/* Taken since the last step of growth; and how many of these there were. */
static _Atomic uint64_t fresh_bytes;
static _Atomic uint32_t steps;

/* Bytes of idle pages that are to go back for what was taken. */
static _Atomic uint64_t debt;

static uint64_t latest_peak(void) {
    return atomic_load_explicit(&peak, memory_order_relaxed);
}

static void set_peak(uint64_t bytes) {
    atomic_store_explicit(&peak, bytes, memory_order_relaxed);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

uint64_t dirty_bytes(void) {
    return pages_dirty_bytes() + bigcache_bytes() + spans_bare_bytes();
}

static uint64_t used_bytes(void) {
    uint64_t used = pages_used_bytes() + mapping_bytes(), hollow = spans_hollow_bytes();
    return used > hollow ? used - hollow : 0;
}

/* What is in use, and the peak with it. */
static uint64_t note_used(void) {
    uint64_t used = used_bytes();
    if (used > latest_peak()) {
        set_peak(used);
    }
    return used;
}

static uint64_t bound_of(uint64_t used) {
    return most(used / PART, config.dirty);
}

uint64_t dirty_limit(void) {
    uint64_t used = note_used(), top = latest_peak();
    uint64_t bound = bound_of(used), there = most(growth_committed(), top + bound_of(top)) - used;
    uint64_t steady =
        most(least(bound + regret_soon(), there), least(bound + regret_later(), top - used));
    return most(bound, steady);
}

void dirty_decay(void) {
    uint64_t used = note_used(), top = latest_peak();
    set_peak(top - (top - used) / 4);
    regret_decay();
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
    mapping = mapping && (!run || run_ms > mapping_ms);
    size_t returned = mapping ? bigcache_end_oldest() : pages_purge_oldest(bytes);
    regret_returned(returned);
    return returned;
}

void dirty_bound(void) {
    uint64_t limit = dirty_limit(), dirty = dirty_bytes();
    if (likely(dirty <= limit)) {
        return;
    }
    uint64_t enough = limit / 16 * 15;
    while (dirty > enough && purge(dirty - enough) != 0) {
        dirty = dirty_bytes();
    }
}

/* Part of the debt of one call, so that no one waits for many. */
#define PAID_AT_ONCE (256 * KIB)

static void pay(uint64_t fresh, uint64_t enough) {
    uint64_t owed = atomic_fetch_add_explicit(&debt, 2 * fresh, memory_order_relaxed) + 2 * fresh;
    uint64_t due = least(owed, PAID_AT_ONCE), paid = 0;
    size_t idle = 1;
    while (paid < due && spans_bare_bytes() > enough && (idle = spans_purge_oldest()) != 0) {
        regret_returned_idle(idle);
        paid += idle;
    }
    bool is_paid = paid >= owed || idle == 0 || spans_bare_bytes() <= enough;
    atomic_store_explicit(&debt, is_paid ? 0 : owed - paid, memory_order_relaxed);
}

bool dirty_grown(size_t fresh) {
    uint64_t part = most(used_bytes() / PART_GROWING, config.dirty);
    pay(fresh, part + regret_idle());
    if (atomic_fetch_add_explicit(&fresh_bytes, fresh, memory_order_relaxed) + fresh < part) {
        return false;
    }
    atomic_store_explicit(&fresh_bytes, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
    regret_grown();
    return true;
}

uint32_t dirty_steps(void) {
    return atomic_load_explicit(&steps, memory_order_relaxed);
}
