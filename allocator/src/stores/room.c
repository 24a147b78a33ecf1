#include "stores/room.h"
#include "base/config.h"
#include "base/decay.h"
#include "pages/pages.h"
#include "stores/central.h"
#include "stores/dirty.h"
#include "stores/stack.h"

#include <string.h>

/* Bytes of a class that a thread may cache which only frees it. */
#define ONE_WAY_BYTES ((size_t)64 * KIB)

/* Slow paths of a bin in one decay period that earn it more room than BIN_EARLY: a bin that has
 * fewer loses less time than more blocks would cost memory. */
#define GROWTH_EVENTS 8

#define RELAXED memory_order_relaxed

/* The automatic budget: a part of the memory in use, at least BUDGET_LEAST. Where much is in use,
 * caches save little memory by holding little, and every block they lack costs a slow path. */
#define BUDGET_LEAST (96 * MIB)
#define BUDGET_PART 8

_Atomic size_t room_total;
_Atomic uint32_t room_active;

static size_t bytes_of(const struct cache *cache) {
    return atomic_load_explicit(&cache->room_bytes, RELAXED);
}

static void set_room(struct cache *cache, unsigned cls, size_t room) {
    size_t change = (room - room_of(cache, cls)) * sizeclass[cls].size;
    atomic_store_explicit(&cache->room_bytes, bytes_of(cache) + change, RELAXED);
    cache->bin[cls].end = cache->base[cls] + room - 1;
}

static void report(struct cache *cache) {
    size_t now = bytes_of(cache);
    atomic_fetch_add_explicit(&room_total, now - cache->reported_bytes, RELAXED);
    cache->reported_bytes = now;
}

size_t room_budget(void) {
    if (config.budget != CONFIG_AUTO) {
        return config.budget;
    }
    size_t part = pages_used_bytes() / BUDGET_PART;
    return part > BUDGET_LEAST ? part : BUDGET_LEAST;
}

void room_share(struct cache *cache) {
    report(cache);
    size_t active = atomic_load_explicit(&room_active, RELAXED);
    size_t budget = room_budget();
    size_t share = budget / (active != 0 ? active : 1);
    size_t others = atomic_load_explicit(&room_total, RELAXED) - cache->reported_bytes;
    size_t left = budget > others ? budget - others : 0;
    cache->budget_bytes = budget;
    share = share < left ? share : left;
    cache->share_bytes = share > ROOM_SHARE_LEAST ? share : ROOM_SHARE_LEAST;
}

void room_spill(struct cache *cache, unsigned cls, size_t keep) {
    size_t filled = room_filled(cache, cls);
    if (filled <= keep) {
        return;
    }
    size_t out = filled - keep;
    struct bin *bin = &cache->bin[cls];
    void **base = cache->base[cls];
    bin_open(bin);
    central_give(cls, base, (unsigned)out);
    memmove(base, base + out, keep * sizeof *base);
    bin_set_top(bin, base + keep);
    bin_close(bin);
}

void room_empty(struct cache *cache) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        room_spill(cache, cls, 0);
        if (room_of(cache, cls) != 0) {
            set_room(cache, cls, 0);
        }
    }
    report(cache);
}

/* Halves the room of one bin, in turn, if it had no slow path since it was last looked at or has
 * much more than `cls`. */
static void take(struct cache *cache, unsigned cls) {
    if (++cache->victim >= CLASS_COUNT) {
        cache->victim = CLASS_FIRST;
    }
    unsigned victim = cache->victim;
    size_t room = room_of(cache, victim), rich = room * sizeclass[victim].size;
    bool idle = cache->events[victim] == 0;
    cache->events[victim] = 0;
    if (victim == cls || room <= bin_least(victim) ||
        (!idle && rich < 4 * (room_of(cache, cls) + 1) * sizeclass[cls].size)) {
        return;
    }
    room_spill(cache, victim, room / 2);
    set_room(cache, victim, room / 2);
}

void room_grow(struct cache *cache, unsigned cls) {
    const struct sizeclass *class = &sizeclass[cls];
    size_t room = room_of(cache, cls), least = bin_least(cls);
    if (room == class->slots ||
        (room >= bin_early(cls) && cache->events[cls] % GROWTH_EVENTS != 0)) {
        return;
    }
    size_t more = room < class->batch ? room : class->batch;
    more = more > class->slots - room ? class->slots - room : more;
    if (class->size > SIZECLASS_KEEP_ABOVE && cache->events[cls] < SIZECLASS_KEEP_AFTER) {
        return;
    }
    if (room < least) {
        set_room(cache, cls, least);
        return;
    }
    if (bytes_of(cache) + more * class->size > cache->share_bytes) {
        if (room_budget() / 8 * 7 > cache->budget_bytes) {
            room_share(cache);
        }
        for (int looks = 0; looks < 2; looks++) {
            take(cache, cls);
        }
    }
    if (bytes_of(cache) + more * class->size <= cache->share_bytes &&
        (cache->wide[cls] || room + more <= bin_early(cls) || stack_widen(cache, cls))) {
        set_room(cache, cls, room + more);
    }
}

void room_trim(struct cache *cache) {
    cache->tick = decay_period();
    cache->steps = dirty_steps();
    room_share(cache);
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        if (room_of(cache, cls) != 0 && cache->events[cls] == 0) {
            size_t keep = room_of(cache, cls) / 2;
            room_spill(cache, cls, keep);
            set_room(cache, cls, keep);
        }
        cache->events[cls] = 0;
        cache->drawn[cls] = 0;
    }
    for (int looks = 0; looks < 2 * CLASS_COUNT && bytes_of(cache) > cache->share_bytes; looks++) {
        take(cache, CLASS_NONE);
    }
}

size_t room_one_way(unsigned cls) {
    size_t fit = ONE_WAY_BYTES / sizeclass[cls].size, most = 2 * (size_t)sizeclass[cls].batch;
    return fit < most ? fit : most;
}

void room_forget(struct cache *cache) {
    atomic_fetch_sub_explicit(&room_total, cache->reported_bytes, RELAXED);
    cache->reported_bytes = 0;
}
