#include "tables/superreg.h"
#include "base/lock.h"
#include "base/os.h"

#include <stdatomic.h>

static _Atomic(struct mapping *) slots[SUPERREG_SLOTS];
static _Atomic(uintptr_t) keys[SUPERREG_SLOTS];
static struct lock lock;

/* The second table: chains of mappings, split one by one as they get more, so that no step is long
 * (linear hashing). Part 0 has CHAINS_LEAST of them, each further part as many as all before it.
 * Lock: all of it. */
#define CHAINS_LEAST 512
#define PARTS 32
static struct mapping *first_part[CHAINS_LEAST];
static struct mapping **parts[PARTS] = {first_part};
static size_t chain_count = CHAINS_LEAST;
static _Atomic size_t overflow_count;

void superreg_init(void) {
    lock_init(&lock, "superreg", RANK_SUPERREG);
}

static uint64_t hash(uintptr_t address) {
    return (address >> 12) * 0x9e3779b97f4a7c15u;
}

static size_t home(uintptr_t address) {
    return (size_t)(hash(address) >> 52);
}

/* The part that a chain is in. */
static unsigned part_of(size_t chain) {
    return chain < CHAINS_LEAST ? 0 : 64 - (unsigned)__builtin_clzll(chain / CHAINS_LEAST);
}

/* Chains of a part: as many as come before it. */
static size_t part_chains(unsigned part) {
    return part == 0 ? CHAINS_LEAST : (size_t)CHAINS_LEAST << (part - 1);
}

static struct mapping **chain_at(size_t chain) {
    unsigned part = part_of(chain);
    return &parts[part][part == 0 ? chain : chain - part_chains(part)];
}

static struct mapping **chain_of(uintptr_t address) {
    size_t round = (size_t)1 << (63 - __builtin_clzll(chain_count));
    size_t chain = (size_t)(hash(address) >> 16) & (2 * round - 1);
    return chain_at(chain < chain_count ? chain : chain - round);
}

static void chain_insert(struct mapping *mapping) {
    struct mapping **chain = chain_of(mapping->address);
    mapping->next = *chain;
    *chain = mapping;
}

/* Adds a chain and deals what is in the one it is split off. Requires its part. */
static void split(void) {
    size_t round = (size_t)1 << (63 - __builtin_clzll(chain_count));
    struct mapping **from = chain_at(chain_count - round), *mapping = *from;
    *from = NULL;
    chain_count++;
    while (mapping != NULL) {
        struct mapping *next = mapping->next;
        chain_insert(mapping);
        mapping = next;
    }
}

/* Enters a mapping in the second table; the part that this one wants now, or 0. */
static unsigned overflow_add(struct mapping *mapping) {
    chain_insert(mapping);
    size_t count = atomic_fetch_add_explicit(&overflow_count, 1, memory_order_release) + 1;
    /* Two at a time, to make up for what a refusal has delayed. */
    for (int i = 0; i < 2 && count > chain_count; i++) {
        unsigned part = part_of(chain_count);
        if (part == PARTS) {
            break;
        }
        if (parts[part] == NULL) {
            return part;
        }
        split();
    }
    return 0;
}

/* Where this is refused, chains become longer until it is not. */
static void map_part(unsigned part) {
    size_t bytes = part_chains(part) * sizeof(struct mapping *);
    struct mapping **mapped = os_map(bytes, PAGE);
    if (mapped == NULL) {
        return;
    }
    lock_acquire(&lock);
    bool first = parts[part] == NULL;
    if (first) {
        parts[part] = mapped;
    }
    lock_release(&lock);
    if (!first) {
        os_unmap(mapped, bytes);
    }
}

void superreg_add(struct mapping *mapping) {
    size_t first = home(mapping->address);
    lock_acquire(&lock);
    for (size_t i = 0; i < SUPERREG_PROBES; i++) {
        size_t at = (first + i) % SUPERREG_SLOTS;
        if (atomic_load_explicit(&keys[at], memory_order_relaxed) == 0) {
            atomic_store_explicit(&slots[at], mapping, memory_order_relaxed);
            atomic_store_explicit(&keys[at], mapping->address, memory_order_release);
            lock_release(&lock);
            return;
        }
    }
    unsigned part = overflow_add(mapping);
    lock_release(&lock);
    if (part != 0) {
        map_part(part);
    }
}

void superreg_remove(struct mapping *mapping) {
    size_t first = home(mapping->address);
    lock_acquire(&lock);
    for (size_t i = 0; i < SUPERREG_PROBES; i++) {
        size_t at = (first + i) % SUPERREG_SLOTS;
        if (atomic_load_explicit(&keys[at], memory_order_relaxed) == mapping->address) {
            atomic_store_explicit(&keys[at], 0, memory_order_release);
            lock_release(&lock);
            return;
        }
    }
    for (struct mapping **link = chain_of(mapping->address); *link != NULL; link = &(*link)->next) {
        if (*link == mapping) {
            *link = mapping->next;
            atomic_fetch_sub_explicit(&overflow_count, 1, memory_order_release);
            break;
        }
    }
    lock_release(&lock);
}

struct mapping *superreg_find(const void *address) {
    uintptr_t key = (uintptr_t)address;
    size_t first = home(key);
    for (size_t i = 0; i < SUPERREG_PROBES; i++) {
        size_t at = (first + i) % SUPERREG_SLOTS;
        if (atomic_load_explicit(&keys[at], memory_order_acquire) == key) {
            return atomic_load_explicit(&slots[at], memory_order_relaxed);
        }
    }
    if (atomic_load_explicit(&overflow_count, memory_order_acquire) == 0) {
        return NULL;
    }
    lock_acquire(&lock);
    struct mapping *mapping = *chain_of(key);
    while (mapping != NULL && mapping->address != key) {
        mapping = mapping->next;
    }
    lock_release(&lock);
    return mapping;
}

struct mapping *superreg_containing(const void *address) {
    struct mapping *found = NULL;
    lock_acquire(&lock);
    for (size_t at = 0; at < SUPERREG_SLOTS && found == NULL; at++) {
        struct mapping *mapping = atomic_load_explicit(&slots[at], memory_order_relaxed);
        if (atomic_load_explicit(&keys[at], memory_order_relaxed) != 0 &&
            (uintptr_t)address - mapping->address < mapping->bytes) {
            found = mapping;
        }
    }
    for (size_t chain = 0; chain < chain_count && found == NULL; chain++) {
        struct mapping *mapping = *chain_at(chain);
        while (mapping != NULL && (uintptr_t)address - mapping->address >= mapping->bytes) {
            mapping = mapping->next;
        }
        found = mapping;
    }
    lock_release(&lock);
    return found;
}
