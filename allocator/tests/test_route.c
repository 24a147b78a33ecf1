/* route: whom free asks. CTest runs this under every registry and route. */
#include "base/config.h"
#include "child.h"
#include "crew.h"
#include "face/route.h"
#include "hakmem.h"
#include "pages/pagemap.h"
#include "parcel.h"

static struct hak_stats *stats_now(void) {
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    return &stats;
}

/* Sizes outside Mid: tiny, Pool, L2.5, a run, a mapping of its own. */
static const size_t others[] = {0,     1,      16,      1000,    1024,    32769,
                                65536, 100000, 1 << 20, 3 << 20, 33 << 20};
enum { OTHERS = sizeof others / sizeof others[0] };

PROMISE(the_mid_box_handles_every_mid_block) {
    for (size_t size = TINY_MAX + 1; size <= SMALL_MAX; size += 331) {
        struct parcel parcel = parcel_make(size, 1, 1);
        uint64_t lookups = stats_now()->registry_lookups;
        parcel_check(&parcel);
        CHECK(mid_route_free(parcel.block));
        CHECK_EQUAL(stats_now()->registry_lookups, lookups + 1);
        /* Freed, and so the next to be handed out. */
        void *again = hak_malloc(size);
        CHECK(again == parcel.block);
        hak_free(again);
    }
}

PROMISE(the_mid_box_touches_nothing_that_is_not_its_own) {
    for (size_t i = 0; i < OTHERS; i++) {
        struct parcel parcel = parcel_make(others[i], 2, (uint32_t)i);
        size_t usable = hak_usable_size(parcel.block);
        uint64_t huge = stats_now()->box[5].bytes_in_use;
        CHECK(!mid_route_free(parcel.block));
        parcel_check(&parcel);
        CHECK_EQUAL(hak_usable_size(parcel.block), usable);
        CHECK_EQUAL(stats_now()->box[5].bytes_in_use, huge);
        struct parcel other = parcel_make(others[i], 3, (uint32_t)i);
        CHECK(other.block != parcel.block);
        parcel_check(&parcel);
        parcel_end(&other);
        parcel_end(&parcel);
    }
    int local = 5;
    static int global = 6;
    CHECK(!mid_route_free(&local) && local == 5);
    CHECK(!mid_route_free(&global) && global == 6);
    CHECK(!mid_route_free(NULL));
    void *mapping = malloc(5000);
    CHECK(!mid_route_free(mapping));
    free(mapping);
}

#define HELD 300

/* Blocks of all boxes, each checked in every byte and freed, until memory must have come round. */
static void churn(int index) {
    struct parcel held[HELD] = {{0}};
    unsigned long long state = (unsigned long long)index + 11;
    for (uint32_t step = 0; step < (SANITIZED ? 1000 : 3000); step++) {
        struct parcel *parcel = &held[check_random(&state) % HELD];
        if (parcel->block != NULL) {
            parcel_end(parcel);
        } else {
            *parcel = parcel_make(parcel_size(&state), (uint32_t)index, step);
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].block != NULL) {
            parcel_end(&held[i]);
        }
    }
}

static uint64_t in_use(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < stats_now()->box_count; i++) {
        sum += stats_now()->box[i].bytes_in_use;
    }
    return sum;
}

PROMISE(every_route_but_the_leaking_one_ends_in_a_correct_free) {
    if (config.route == ROUTE_CASCADE_LEAK) {
        return;
    }
    churn(0);
    uint64_t before = in_use(), committed = stats_now()->committed_bytes;
    for (int round = 0; round < 3; round++) {
        churn(0);
        CHECK_EQUAL(in_use(), before);
    }
    crew_run(4, churn);
    CHECK_EQUAL(in_use(), before);
    for (int round = 0; round < 3; round++) {
        crew_run(4, churn);
    }
    CHECK(stats_now()->committed_bytes <= 2 * committed + 512 * MIB);
    CHECK_EQUAL(stats_now()->leaked_blocks, 0);
}

#define LEAKS 100
static void *to_leak[4][LEAKS];

static void only_free(int index) {
    for (int i = 0; i < LEAKS; i++) {
        hak_free(to_leak[index][i]);
    }
}

PROMISE(the_leaking_route_drops_mid_blocks_and_counts_each) {
    uint64_t before = stats_now()->leaked_blocks;
    uint64_t used = stats_now()->box[1].bytes_in_use;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < LEAKS; i++) {
            to_leak[k][i] = hak_malloc(5000);
            CHECK(to_leak[k][i] != NULL);
        }
    }
    /* By threads that allocate nothing, so that they never have a cache. */
    crew_run(4, only_free);
    if (config.route == ROUTE_CASCADE_LEAK) {
        CHECK_EQUAL(stats_now()->leaked_blocks, before + 4 * LEAKS);
        CHECK(stats_now()->box[1].bytes_in_use >= used + 4 * LEAKS * 5000);
    } else {
        CHECK_EQUAL(stats_now()->leaked_blocks, 0);
        CHECK_EQUAL(stats_now()->box[1].bytes_in_use, used);
    }
}

PROMISE(the_leaking_route_frees_what_is_not_mid) {
    for (size_t i = 0; i < OTHERS; i++) {
        hak_free(hak_malloc(others[i]));
        uint64_t before = in_use(), leaked = stats_now()->leaked_blocks;
        for (int k = 0; k < 20; k++) {
            hak_free(hak_malloc(others[i]));
        }
        CHECK_EQUAL(in_use(), before);
        CHECK_EQUAL(stats_now()->leaked_blocks, leaked);
    }
}

PROMISE(only_blocks_that_a_switch_concerns_are_routed) {
    for (size_t i = 0; i < OTHERS; i++) {
        void *block = hak_malloc(others[i]);
        unsigned byte = pagemap_class(block);
        bool tiny = others[i] <= TINY_MAX, classed = others[i] <= LARGE_MAX;
        bool routed = classed && config.route != ROUTE_DIRECT && !tiny;
        CHECK_EQUAL(byte == CLASS_ROUTED, routed);
        hak_free(block);
    }
    void *mid = hak_malloc(5000);
    CHECK_EQUAL(pagemap_class(mid) == CLASS_ROUTED,
                config.route != ROUTE_DIRECT || config.registry != REGISTRY_FLAT);
    hak_free(mid);
}

/* Interior of a run: in our ranges, and no block begins there. */
static void free_inside_a_run(void) {
    char *block = hak_malloc(5 << 20);
    hak_free(block + GRANULE);
}

static void free_a_freed_run(void) {
    char *block = hak_malloc(5 << 20);
    hak_free(block);
    hak_free(block);
}

PROMISE(a_pointer_that_no_box_knows_ends_the_process_with_its_address) {
    void (*const misuses[])(void) = {free_inside_a_run, free_a_freed_run};
    for (int i = 0; i < 2; i++) {
        struct ending end = child_fork(misuses[i]);
        CHECK_EQUAL(end.signal, SIGABRT);
        CHECK(strstr(end.said, "hakmem: free(): invalid pointer: 0x") != NULL);
    }
}
