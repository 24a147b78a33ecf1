#include "superreg.h"
#include "lock.h"

#include <stdatomic.h>

static _Atomic(struct mapping *) slots[SUPERREG_SLOTS];
static _Atomic(uintptr_t) keys[SUPERREG_SLOTS];
static struct lock lock;
static struct mapping *overflow;
static _Atomic size_t overflow_count;

void superreg_init(void) {
    lock_init(&lock, "superreg", -1, RANK_SUPERREG);
}

static size_t home(uintptr_t address) {
    return (size_t)((address >> 12) * 0x9e3779b97f4a7c15u >> 52);
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
    mapping->next = overflow;
    overflow = mapping;
    atomic_fetch_add_explicit(&overflow_count, 1, memory_order_release);
    lock_release(&lock);
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
    for (struct mapping **link = &overflow; *link != NULL; link = &(*link)->next) {
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
    struct mapping *mapping = overflow;
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
    for (struct mapping *mapping = overflow; mapping != NULL && found == NULL;
         mapping = mapping->next) {
        if ((uintptr_t)address - mapping->address < mapping->bytes) {
            found = mapping;
        }
    }
    lock_release(&lock);
    return found;
}
