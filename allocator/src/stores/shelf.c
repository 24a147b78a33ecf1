#include "stores/shelf.h"
#include "base/lock.h"
#include "base/os.h"

/* Places of the first mapping: with their table, less than a granule. */
#define FIRST 7u
#define MAPPINGS 24

static struct lock lock; /* SHELF */
static struct place *_Atomic tables[MAPPINGS];
static _Atomic unsigned count;
static struct place *warmest, *coolest, *cold;

void shelf_init(void) {
    lock_init(&lock, "shelf", RANK_SHELF);
}

/* Mapping k has FIRST << k places, the first of which has the number FIRST * (2^k - 1). */
static unsigned mapping_of(unsigned number) {
    return 31 - (unsigned)__builtin_clz(number / FIRST + 1);
}

unsigned shelf_count(void) {
    return atomic_load_explicit(&count, memory_order_acquire);
}

struct place *shelf_at(unsigned number) {
    unsigned k = mapping_of(number);
    struct place *table = atomic_load_explicit(&tables[k], memory_order_acquire);
    return &table[number - FIRST * ((1u << k) - 1)];
}

/* Requires SHELF. */
static void remove_warm(struct place *place) {
    *(place->newer != NULL ? &place->newer->older : &warmest) = place->older;
    *(place->older != NULL ? &place->older->newer : &coolest) = place->newer;
}

static void insert_warm(struct place *place) {
    place->newer = NULL;
    place->older = warmest;
    *(warmest != NULL ? &warmest->newer : &coolest) = place;
    warmest = place;
}

/* The shelf made twice as long. Whoever was faster with it wins: the other ends its mapping. */
static bool lengthen(unsigned known) {
    unsigned k = mapping_of(known), places = FIRST << k;
    size_t head = align_up(places * sizeof(struct place), PAGE);
    size_t bytes = head + places * SHELF_PLACE;
    struct place *table = k < MAPPINGS ? os_map(bytes, PAGE) : NULL;
    if (table == NULL) {
        return false;
    }
    for (unsigned i = 0; i < places; i++) {
        table[i].memory = (char *)table + head + i * SHELF_PLACE;
        table[i].older = i + 1 < places ? &table[i + 1] : NULL;
    }
    lock_acquire(&lock);
    bool first = shelf_count() == known;
    if (first) {
        table[places - 1].older = cold;
        cold = table;
        atomic_store_explicit(&tables[k], table, memory_order_release);
        atomic_store_explicit(&count, known + places, memory_order_release);
    }
    lock_release(&lock);
    if (!first) {
        os_unmap(table, bytes);
    }
    return true;
}

struct place *shelf_take(void) {
    for (;;) {
        lock_acquire(&lock);
        unsigned known = shelf_count();
        struct place *place = warmest != NULL ? warmest : cold;
        if (place != NULL && place == warmest) {
            remove_warm(place);
        } else if (place != NULL) {
            cold = place->older;
        }
        lock_release(&lock);
        if (place != NULL || !lengthen(known)) {
            return place;
        }
    }
}

void shelf_give(struct place *place, uint32_t now) {
    lock_acquire(&lock);
    place->since = now;
    insert_warm(place);
    lock_release(&lock);
}

void shelf_give_cold(struct place *place) {
    lock_acquire(&lock);
    place->older = cold;
    cold = place;
    lock_release(&lock);
}

void shelf_forget(void) {
    warmest = coolest = cold = NULL;
}

struct place *shelf_take_rested(uint32_t now, uint32_t age) {
    lock_acquire(&lock);
    struct place *place = coolest;
    if (place != NULL && now - place->since >= age) {
        remove_warm(place);
    } else {
        place = NULL;
    }
    lock_release(&lock);
    return place;
}
