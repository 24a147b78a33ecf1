/* lookup: the hash tables that the cascade asks first. Only filled under a cascade, so CTest runs
 * this with one. The spans here are made up, at addresses where nobody has memory. */
#include "crew.h"
#include "tables/lookup.h"

#define BASE ((uintptr_t)1 << 52)
#define SPANS 2000

static struct span spans[SPANS];

static void make_up(size_t i, uintptr_t base, uint32_t granules) {
    spans[i] = (struct span){.start = base + i * 16 * GRANULE, .granules = granules};
}

static void check_found(enum lookup_table table, const struct span *span, unsigned cls) {
    for (uint32_t i = 0; i < span->granules; i++) {
        CHECK_EQUAL(lookup_find(table, (void *)(span->start + i * GRANULE)), cls);
        CHECK_EQUAL(lookup_find(table, (void *)(span->start + i * GRANULE + GRANULE - 1)), cls);
    }
}

PROMISE(both_tables_agree_with_a_model_through_random_entries_and_removals) {
    static unsigned model[LOOKUP_TABLES][SPANS];
    unsigned long long state = 7;
    for (size_t i = 0; i < SPANS; i++) {
        make_up(i, BASE, 1 + (uint32_t)(check_random(&state) % 16));
    }
    for (int step = 0; step < 30000; step++) {
        size_t i = check_random(&state) % SPANS;
        enum lookup_table table = check_random(&state) % 2 ? LOOKUP_POOL : LOOKUP_L25;
        check_found(table, &spans[i], model[table][i]);
        if (model[table][i] == CLASS_NONE) {
            model[table][i] = 53 + (unsigned)(check_random(&state) % 20);
            CHECK(lookup_add(table, &spans[i], model[table][i]));
        } else {
            model[table][i] = CLASS_NONE;
            lookup_remove(table, &spans[i]);
        }
        check_found(table, &spans[i], model[table][i]);
    }
    for (int table = 0; table < LOOKUP_TABLES; table++) {
        for (size_t i = 0; i < SPANS; i++) {
            check_found((enum lookup_table)table, &spans[i], model[table][i]);
            if (model[table][i] != CLASS_NONE) {
                lookup_remove((enum lookup_table)table, &spans[i]);
            }
            check_found((enum lookup_table)table, &spans[i], CLASS_NONE);
        }
    }
}

PROMISE(the_tables_do_not_know_each_others_spans) {
    make_up(0, BASE, 4);
    CHECK(lookup_add(LOOKUP_POOL, &spans[0], 54));
    check_found(LOOKUP_POOL, &spans[0], 54);
    check_found(LOOKUP_L25, &spans[0], CLASS_NONE);
    lookup_remove(LOOKUP_POOL, &spans[0]);
}

PROMISE(removing_what_is_not_there_changes_nothing) {
    make_up(0, BASE, 3);
    make_up(1, BASE, 3);
    CHECK(lookup_add(LOOKUP_L25, &spans[0], 60));
    lookup_remove(LOOKUP_L25, &spans[1]);
    check_found(LOOKUP_L25, &spans[0], 60);
    lookup_remove(LOOKUP_L25, &spans[0]);
    lookup_remove(LOOKUP_L25, &spans[0]);
    check_found(LOOKUP_L25, &spans[0], CLASS_NONE);
}

PROMISE(a_full_table_refuses_a_span_whole_and_finds_all_it_has) {
    struct span span = {.granules = 16};
    size_t entered = 0;
    for (;; entered++) {
        span.start = BASE + entered * 16 * GRANULE;
        if (!lookup_add(LOOKUP_POOL, &span, 55)) {
            break;
        }
    }
    /* 56 shards, each at least 6 000 granules. */
    CHECK(entered * 16 >= 56u * 6000u * 9 / 10);
    check_found(LOOKUP_POOL, &span, CLASS_NONE);
    for (size_t i = 0; i < entered; i += 97) {
        span.start = BASE + i * 16 * GRANULE;
        check_found(LOOKUP_POOL, &span, 55);
    }
    /* In so full a table every removal leaves a gap that others were found across. */
    for (size_t i = 0; i < entered; i += 2) {
        span.start = BASE + i * 16 * GRANULE;
        lookup_remove(LOOKUP_POOL, &span);
    }
    for (size_t i = 0; i < entered; i++) {
        span.start = BASE + i * 16 * GRANULE;
        if (i % 2 == 1) {
            check_found(LOOKUP_POOL, &span, 55);
            lookup_remove(LOOKUP_POOL, &span);
        }
        check_found(LOOKUP_POOL, &span, CLASS_NONE);
    }
    for (size_t i = 0; i < entered; i += 97) {
        span.start = BASE + i * 16 * GRANULE;
        check_found(LOOKUP_POOL, &span, CLASS_NONE);
    }
    CHECK(lookup_add(LOOKUP_POOL, &span, 55));
    lookup_remove(LOOKUP_POOL, &span);
}

static void enter_find_remove(int index) {
    unsigned long long state = (unsigned long long)index + 1;
    struct span span = {.granules = 1};
    for (int step = 0; step < 3000; step++) {
        span.start = BASE + ((uintptr_t)index << 40) + check_random(&state) % 4096 * 16 * GRANULE;
        span.granules = 1 + (uint32_t)(check_random(&state) % 16);
        CHECK(lookup_add(LOOKUP_L25, &span, 57 + (unsigned)index));
        check_found(LOOKUP_L25, &span, 57 + (unsigned)index);
        lookup_remove(LOOKUP_L25, &span);
        check_found(LOOKUP_L25, &span, CLASS_NONE);
    }
}

PROMISE(threads_find_their_own_entries_while_others_come_and_go) {
    crew_run(4, enter_find_remove);
}
