#include "tables/lookup.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"

#define SHARDS_MOST 64
#define SHARD_SLOTS 8192 /* a power of two */

struct slot {
    uintptr_t granule; /* 0: empty */
    uintptr_t cls;
};

struct shard {
    struct lock lock;
    size_t filled;
    struct slot *slots;
};

static const unsigned shard_count[LOOKUP_TABLES] = {56, 64};
static const char *const names[LOOKUP_TABLES] = {"pool", "l25"};
static struct shard shards[LOOKUP_TABLES][SHARDS_MOST];

static unsigned itself(int index) {
    return (unsigned)index;
}

bool lookup_init(void) {
    if (config.route == ROUTE_DIRECT) {
        return true;
    }
    for (int table = 0; table < LOOKUP_TABLES; table++) {
        size_t bytes = SHARD_SLOTS * sizeof(struct slot);
        char *memory = os_map(bytes * shard_count[table], PAGE);
        if (memory == NULL) {
            return false;
        }
        struct lock_family locks = {.name = names[table],
                                    .first = &shards[table][0].lock,
                                    .stride = sizeof shards[table][0],
                                    .count = (int)shard_count[table],
                                    .number = itself,
                                    .rank = RANK_LOOKUP};
        lock_init_family(&locks);
        for (unsigned i = 0; i < shard_count[table]; i++) {
            shards[table][i].slots = (struct slot *)(memory + i * bytes);
        }
    }
    return true;
}

/* Fibonacci hashing: the high half of a multiplication by 2^64 / golden ratio. */
static size_t hash(uintptr_t granule) {
    return (granule * 0x9e3779b97f4a7c15u) >> 32;
}

static struct shard *shard_of(enum lookup_table table, uintptr_t granule) {
    return &shards[table][(hash(granule) >> 16) % shard_count[table]];
}

/* The slot that holds the granule, or the empty one where it would go. */
static size_t probe(const struct shard *shard, uintptr_t granule) {
    size_t i = hash(granule) % SHARD_SLOTS;
    while (shard->slots[i].granule != 0 && shard->slots[i].granule != granule) {
        i = (i + 1) % SHARD_SLOTS;
    }
    return i;
}

static void remove_granule(struct shard *shard, uintptr_t granule) {
    lock_acquire(&shard->lock);
    size_t hole = probe(shard, granule);
    if (shard->slots[hole].granule != 0) {
        shard->filled--;
        /* Close the gap: pull back what could not be found across it. */
        for (size_t i = (hole + 1) % SHARD_SLOTS; shard->slots[i].granule != 0;
             i = (i + 1) % SHARD_SLOTS) {
            size_t home = hash(shard->slots[i].granule) % SHARD_SLOTS;
            if ((i - home) % SHARD_SLOTS >= (i - hole) % SHARD_SLOTS) {
                shard->slots[hole] = shard->slots[i];
                hole = i;
            }
        }
        shard->slots[hole].granule = 0;
    }
    lock_release(&shard->lock);
}

bool lookup_add(enum lookup_table table, struct span *span, unsigned cls) {
    for (uint32_t i = 0; i < span->granules; i++) {
        uintptr_t granule = (span->start >> GRANULE_SHIFT) + i;
        struct shard *shard = shard_of(table, granule);
        lock_acquire(&shard->lock);
        bool room = shard->filled < SHARD_SLOTS * 3 / 4;
        if (room) {
            shard->slots[probe(shard, granule)] = (struct slot){granule, cls};
            shard->filled++;
        }
        lock_release(&shard->lock);
        if (!room) {
            while (i-- > 0) {
                granule = (span->start >> GRANULE_SHIFT) + i;
                remove_granule(shard_of(table, granule), granule);
            }
            return false;
        }
    }
    return true;
}

void lookup_remove(enum lookup_table table, struct span *span) {
    for (uint32_t i = 0; i < span->granules; i++) {
        uintptr_t granule = (span->start >> GRANULE_SHIFT) + i;
        remove_granule(shard_of(table, granule), granule);
    }
}

unsigned lookup_find(enum lookup_table table, const void *address) {
    uintptr_t granule = (uintptr_t)address >> GRANULE_SHIFT;
    struct shard *shard = shard_of(table, granule);
    lock_acquire(&shard->lock);
    const struct slot *slot = &shard->slots[probe(shard, granule)];
    unsigned cls = slot->granule != 0 ? (unsigned)slot->cls : CLASS_NONE;
    lock_release(&shard->lock);
    return cls;
}
