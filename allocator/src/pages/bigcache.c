#include "pages/bigcache.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"

static struct resting {
    void *mapping; /* NULL: empty slot */
    size_t bytes;
    uint64_t since_ms;
} slots[BIGCACHE_SLOTS];

static struct lock lock;
static _Atomic uint64_t bytes_resting;
static uint64_t hits, misses;

void bigcache_init(void) {
    lock_init(&lock, "bigcache", RANK_BIGCACHE);
}

size_t bigcache_round(size_t size) {
    size_t bytes = align_up(size, PAGE);
    if (bytes < 8 * PAGE) {
        return bytes;
    }
    size_t step = (size_t)1 << (60 - __builtin_clzll(bytes - 1));
    return align_up(size, step < PAGE ? PAGE : step);
}

/* If the system refuses, the address space is lost, but at least not the memory. */
static void end(void *mapping, size_t bytes) {
    if (!os_unmap(mapping, bytes)) {
        os_purge(mapping, bytes);
    }
}

static void vacate(struct resting *slot) {
    lock_bump(&bytes_resting, -(uint64_t)slot->bytes);
    slot->mapping = NULL;
}

uint64_t bigcache_bytes(void) {
    return atomic_load_explicit(&bytes_resting, memory_order_relaxed);
}

void *bigcache_take(size_t bytes, size_t alignment, size_t *got) {
    struct resting *best = NULL;
    void *mapping = NULL;
    lock_acquire(&lock);
    for (int i = 0; i < BIGCACHE_SLOTS; i++) {
        struct resting *slot = &slots[i];
        if (slot->mapping != NULL && slot->bytes >= bytes && slot->bytes - bytes <= bytes / 8 &&
            ((uintptr_t)slot->mapping & (alignment - 1)) == 0 &&
            (best == NULL || slot->bytes < best->bytes)) {
            best = slot;
        }
    }
    if (best != NULL) {
        mapping = best->mapping;
        *got = best->bytes;
        vacate(best);
        hits++;
    } else {
        misses++;
    }
    lock_release(&lock);
    return mapping;
}

/* The longest-resting slot; requires the lock. */
static struct resting *oldest(void) {
    struct resting *found = NULL;
    for (int i = 0; i < BIGCACHE_SLOTS; i++) {
        if (slots[i].mapping != NULL && (found == NULL || slots[i].since_ms < found->since_ms)) {
            found = &slots[i];
        }
    }
    return found;
}

/* Room for `bytes` and a free slot: NULL after having emptied one into *out, to be ended first. */
static struct resting *make_room(size_t bytes, struct resting *out) {
    struct resting *free_slot = NULL;
    for (int i = 0; i < BIGCACHE_SLOTS && free_slot == NULL; i++) {
        if (slots[i].mapping == NULL) {
            free_slot = &slots[i];
        }
    }
    if (free_slot != NULL && bigcache_bytes() + bytes <= config.bigcache) {
        return free_slot;
    }
    struct resting *leaving = oldest();
    *out = *leaving;
    vacate(leaving);
    return NULL;
}

void bigcache_give(void *mapping, size_t bytes) {
    if (bytes > config.bigcache) {
        end(mapping, bytes);
        return;
    }
    uint64_t now = os_coarse_ms();
    for (;;) {
        struct resting leaving = {0};
        lock_acquire(&lock);
        struct resting *slot = make_room(bytes, &leaving);
        if (slot != NULL) {
            *slot = (struct resting){mapping, bytes, now};
            lock_bump(&bytes_resting, bytes);
        }
        lock_release(&lock);
        if (slot != NULL) {
            return;
        }
        end(leaving.mapping, leaving.bytes);
    }
}

bool bigcache_oldest(uint64_t *since_ms) {
    lock_acquire(&lock);
    struct resting *slot = oldest();
    *since_ms = slot != NULL ? slot->since_ms : 0;
    lock_release(&lock);
    return slot != NULL;
}

/* Ends the oldest if it has rested for age_ms; returns its bytes, or 0. */
static size_t end_oldest(uint64_t now_ms, uint64_t age_ms) {
    struct resting leaving = {0};
    lock_acquire(&lock);
    struct resting *slot = oldest();
    if (slot != NULL && (now_ms == UINT64_MAX || os_aged(slot->since_ms, now_ms, age_ms))) {
        leaving = *slot;
        vacate(slot);
    }
    lock_release(&lock);
    if (leaving.mapping != NULL) {
        end(leaving.mapping, leaving.bytes);
    }
    return leaving.bytes;
}

size_t bigcache_end_oldest(void) {
    return end_oldest(UINT64_MAX, 0);
}

size_t bigcache_decay(uint64_t now_ms) {
    size_t total = 0, bytes;
    while ((bytes = end_oldest(now_ms, config.decay_ms)) != 0) {
        total += bytes;
    }
    return total;
}

void bigcache_forget(void) {
    for (int i = 0; i < BIGCACHE_SLOTS; i++) {
        slots[i].mapping = NULL;
    }
    atomic_store_explicit(&bytes_resting, 0, memory_order_relaxed);
}

void bigcache_stats(struct bigcache_stats *out) {
    lock_acquire(&lock);
    *out = (struct bigcache_stats){hits, misses, bigcache_bytes()};
    lock_release(&lock);
}
