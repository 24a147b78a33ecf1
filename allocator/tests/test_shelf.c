/* shelf: places for caches; warm ones first, cold ones read as zero, none twice. Linked with
 * --wrap, so that a test can count the mappings. */
#include "base/os.h"
#include "check.h"
#include "crew.h"
#include "stores/shelf.h"

#define MANY 1000

static _Atomic int maps;
static bool refuse;
void *__real_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment) {
    atomic_fetch_add(&maps, 1);
    return refuse ? NULL : __real_os_map(bytes, alignment);
}

static struct place *take(void) {
    struct place *place = shelf_take();
    CHECK(place != NULL);
    return place;
}

static bool reads_as_zero(const struct place *place) {
    const char *bytes = place->memory;
    for (size_t i = 0; i < SHELF_PLACE; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

PROMISE(a_thousand_places_overlap_nowhere_and_need_few_mappings) {
    static struct place *places[MANY];
    atomic_store(&maps, 0);
    for (int i = 0; i < MANY; i++) {
        places[i] = take();
        CHECK(((uintptr_t)places[i]->memory & (PAGE - 1)) == 0);
        memset(places[i]->memory, i % 100 + 1, SHELF_PLACE);
    }
    for (int i = 0; i < MANY; i++) {
        const char *bytes = places[i]->memory;
        CHECK(bytes[0] == i % 100 + 1 && bytes[SHELF_PLACE - 1] == i % 100 + 1);
        shelf_give(places[i], 0);
    }
    CHECK(atomic_load(&maps) <= 8);
}

PROMISE(every_place_has_one_number) {
    static struct place *places[MANY];
    for (int i = 0; i < MANY; i++) {
        places[i] = take();
    }
    for (int i = 0; i < MANY; i++) {
        unsigned found = 0;
        for (unsigned number = 0; number < shelf_count(); number++) {
            found += shelf_at(number) == places[i];
        }
        CHECK_EQUAL(found, 1);
        shelf_give(places[i], 0);
    }
}

PROMISE(the_place_given_last_is_taken_first) {
    struct place *first = take(), *second = take();
    shelf_give(first, 1);
    shelf_give(second, 1);
    CHECK(take() == second);
    CHECK(take() == first);
    shelf_give(first, 1);
    shelf_give(second, 1);
}

PROMISE(only_a_place_that_rested_long_enough_is_cooled_and_the_longest_first) {
    while (shelf_take_rested(1000, 0) != NULL) {
    }
    struct place *early = take(), *late = take();
    shelf_give(early, 10);
    shelf_give(late, 12);
    CHECK(shelf_take_rested(13, 4) == NULL);
    CHECK(shelf_take_rested(14, 4) == early);
    CHECK(shelf_take_rested(14, 4) == NULL);
    shelf_give_cold(early);
    CHECK(shelf_take_rested(20, 4) == late);
    shelf_give(late, 20);
}

PROMISE(a_warm_place_is_preferred_to_a_cold_one_and_a_cold_one_reads_as_zero) {
    struct place *warm = take(), *cold = take();
    memset(cold->memory, 1, SHELF_PLACE);
    CHECK(os_purge(cold->memory, SHELF_PLACE));
    shelf_give(warm, 0);
    shelf_give_cold(cold);
    CHECK(take() == warm);
    while (shelf_take_rested(1000, 0) != NULL) {
    }
    CHECK(take() == cold);
    CHECK(reads_as_zero(cold));
    shelf_give(cold, 0);
    shelf_give(warm, 0);
}

PROMISE(a_refused_mapping_is_a_refused_place_and_the_next_one_is_not) {
    refuse = true;
    while (shelf_take() != NULL) {
    }
    refuse = false;
    shelf_give(take(), 0);
}

static void take_and_give(int index) {
    for (int i = 0; i < 2000; i++) {
        struct place *place = take();
        int *word = place->memory;
        CHECK(*word == 0);
        *word = index + 1;
        struct place *rested = i % 16 == 0 ? shelf_take_rested(1, 0) : NULL;
        if (rested != NULL) {
            shelf_give_cold(rested);
        }
        CHECK(*word == index + 1);
        *word = 0;
        shelf_give(place, 0);
    }
}

PROMISE(a_place_taken_by_many_threads_has_one_owner_at_a_time) {
    crew_run(8, take_and_give);
}
