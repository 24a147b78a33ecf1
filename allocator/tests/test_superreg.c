/* superreg: the mappings that are blocks, also when a hash slot and its 8 probes are taken. The
 * mappings here are made up. */
#include "base/os.h"
#include "crew.h"
#include "tables/superreg.h"

#define CROWD 40

/* The registry's hash: the top 12 bits of (page number x 2^64 / golden ratio). */
static size_t home(uintptr_t address) {
    return (size_t)((address >> 12) * 0x9e3779b97f4a7c15u >> 52);
}

static struct mapping crowd[CROWD];

/* Addresses that all want the same slot. */
static void gather(size_t slot) {
    uintptr_t address = (uintptr_t)1 << 50;
    for (int found = 0; found < CROWD; address += PAGE) {
        if (home(address) == slot) {
            crowd[found++] = (struct mapping){.address = address, .bytes = address >> 3};
        }
    }
}

static void check_crowd(const bool *in) {
    for (int i = 0; i < CROWD; i++) {
        struct mapping *found = superreg_find((void *)crowd[i].address);
        CHECK(found == (in[i] ? &crowd[i] : NULL));
        CHECK(!in[i] || found->bytes == crowd[i].address >> 3);
    }
}

static void fill_and_empty(size_t slot, int stride) {
    bool in[CROWD] = {false};
    gather(slot);
    for (int i = 0; i < CROWD; i++) {
        check_crowd(in);
        superreg_add(&crowd[i]);
        in[i] = true;
    }
    check_crowd(in);
    for (int i = 0, k = 0; i < CROWD; i++, k = (k + stride) % CROWD) {
        superreg_remove(&crowd[k]);
        in[k] = false;
        check_crowd(in);
    }
}

PROMISE(mappings_beyond_the_eight_probes_of_a_slot_are_found_and_removed) {
    fill_and_empty(100, 1);
    fill_and_empty(100, 7);
    fill_and_empty(100, 39);
}

PROMISE(probes_go_round_the_end_of_the_table) {
    fill_and_empty(SUPERREG_SLOTS - 1, 1);
    fill_and_empty(SUPERREG_SLOTS - 3, 13);
}

PROMISE(the_registry_agrees_with_a_model_through_random_entries_and_removals) {
    enum { MAPPINGS = 9000 };
    static struct mapping mappings[MAPPINGS];
    static bool in[MAPPINGS];
    unsigned long long state = 3;
    for (int i = 0; i < MAPPINGS; i++) {
        mappings[i] = (struct mapping){.address = ((uintptr_t)1 << 49) + (uintptr_t)i * 17 * PAGE};
    }
    for (int step = 0; step < 40000; step++) {
        size_t i = check_random(&state) % MAPPINGS;
        CHECK(superreg_find((void *)mappings[i].address) == (in[i] ? &mappings[i] : NULL));
        if (in[i]) {
            superreg_remove(&mappings[i]);
        } else {
            superreg_add(&mappings[i]);
        }
        in[i] = !in[i];
    }
    for (int i = 0; i < MAPPINGS; i++) {
        CHECK(superreg_find((void *)mappings[i].address) == (in[i] ? &mappings[i] : NULL));
        if (in[i]) {
            superreg_remove(&mappings[i]);
        }
    }
}

static bool refused;
void *__real_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment) {
    return refused ? NULL : __real_os_map(bytes, alignment);
}

/* Mappings that stand behind this one in its chain of the second table. */
static size_t behind(const struct mapping *mapping) {
    size_t n = 0;
    while ((mapping = mapping->next) != NULL) {
        n++;
    }
    return n;
}

/* Enters mappings, looks for all in another order, removes them in a third; memory
 * for chains is refused at first. Returns the length of the longest chain. */
static size_t many(size_t n, size_t refusals) {
    size_t longest = 0;
    struct mapping *mappings = __real_os_map(align_up(n * sizeof *mappings, PAGE), PAGE);
    CHECK(mappings != NULL);
    for (size_t i = 0; i < n; i++) {
        mappings[i] = (struct mapping){.address = ((uintptr_t)i + 1) * 8449 * PAGE, .bytes = i};
        refused = i < refusals;
        superreg_add(&mappings[i]);
    }
    for (size_t i = 0; i < n; i++) {
        size_t length = behind(&mappings[i]) + 1;
        longest = length > longest ? length : longest;
    }
    for (size_t i = 0; i < n; i++) {
        struct mapping *mapping = &mappings[i * 7919 % n];
        CHECK(superreg_find((void *)mapping->address) == mapping);
        CHECK(superreg_find((void *)(mapping->address + PAGE)) == NULL);
    }
    for (size_t i = 0; i < n; i++) {
        superreg_remove(&mappings[i * 104729 % n]);
        CHECK(superreg_find((void *)mappings[i * 104729 % n].address) == NULL);
    }
    CHECK(os_unmap(mappings, align_up(n * sizeof *mappings, PAGE)));
    return longest;
}

PROMISE(chains_do_not_get_longer_with_the_mappings_even_if_they_cannot_become_more_at_first) {
    CHECK(many(100000, 40000) < 20);
    CHECK(many(200000, 0) < 20);
}

PROMISE(only_the_address_at_which_a_mapping_begins_finds_it) {
    struct mapping mapping = {.address = (uintptr_t)1 << 48, .bytes = 1 << 20};
    superreg_add(&mapping);
    CHECK(superreg_find((void *)mapping.address) == &mapping);
    CHECK(superreg_find((void *)(mapping.address + 1)) == NULL);
    CHECK(superreg_find((void *)(mapping.address + PAGE)) == NULL);
    superreg_remove(&mapping);
    CHECK(superreg_find((void *)mapping.address) == NULL);
}

/* All threads crowd the same few slots, so that entries move between table and overflow. */
static void crowd_in(int index) {
    struct mapping own[30];
    unsigned long long state = (unsigned long long)index + 5;
    uintptr_t address = ((uintptr_t)1 << 47) + ((uintptr_t)index << 36);
    for (int found = 0; found < 30; address += PAGE) {
        if (home(address) < 4) {
            own[found++] = (struct mapping){.address = address};
        }
    }
    bool in[30] = {false};
    for (int step = 0; step < 20000; step++) {
        size_t i = check_random(&state) % 30;
        CHECK(superreg_find((void *)own[i].address) == (in[i] ? &own[i] : NULL));
        if (check_random(&state) % 4 == 0) {
            if (in[i]) {
                superreg_remove(&own[i]);
            } else {
                superreg_add(&own[i]);
            }
            in[i] = !in[i];
        }
    }
    for (int i = 0; i < 30; i++) {
        if (in[i]) {
            superreg_remove(&own[i]);
        }
    }
}

PROMISE(threads_find_their_own_mappings_while_others_crowd_the_same_slots) {
    crew_run(6, crowd_in);
}
