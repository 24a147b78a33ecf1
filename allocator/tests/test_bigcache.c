/* bigcache: freed mappings kept for reuse, bounded in bytes, number and time. */
#include "base/config.h"
#include "base/os.h"
#include "crew.h"
#include "pages/bigcache.h"
#include "refuse.h"

static struct bigcache_stats stats_now(void) {
    struct bigcache_stats stats;
    bigcache_stats(&stats);
    return stats;
}

static void *mapped(size_t bytes) {
    void *mapping = os_map(bytes, PAGE);
    CHECK(mapping != NULL);
    *(char *)mapping = 1;
    return mapping;
}

PROMISE(rounding_adds_at_most_an_eighth_and_is_the_same_again) {
    size_t last = 0;
    for (size_t size = 1; size < 4 * GIB; size += size / 13 + 1) {
        size_t bytes = bigcache_round(size);
        CHECK(bytes >= size && bytes % PAGE == 0);
        CHECK(bytes - size < PAGE || bytes - size <= size / 8);
        CHECK_EQUAL(bigcache_round(bytes), bytes);
        CHECK(bytes >= last);
        last = bytes;
    }
}

PROMISE(a_given_mapping_is_taken_again_for_its_size_and_counted_as_a_hit) {
    bigcache_decay(UINT64_MAX);
    struct bigcache_stats before = stats_now();
    void *mapping = mapped(4 * MIB);
    bigcache_give(mapping, 4 * MIB);
    CHECK_EQUAL(stats_now().bytes, 4 * MIB);
    size_t got = 0;
    CHECK(bigcache_take(4 * MIB, PAGE, &got) == mapping);
    CHECK_EQUAL(got, 4 * MIB);
    CHECK_EQUAL(stats_now().hits, before.hits + 1);
    CHECK_EQUAL(stats_now().bytes, 0);
    CHECK(bigcache_take(4 * MIB, PAGE, &got) == NULL);
    CHECK_EQUAL(stats_now().misses, before.misses + 1);
    os_unmap(mapping, 4 * MIB);
}

PROMISE(a_mapping_serves_only_sizes_from_an_eighth_below_its_own) {
    size_t got;
    bigcache_decay(UINT64_MAX);
    bigcache_give(mapped(9 * MIB), 9 * MIB);
    CHECK(bigcache_take(9 * MIB + PAGE, PAGE, &got) == NULL);
    CHECK(bigcache_take(7 * MIB, PAGE, &got) == NULL);
    void *mapping = bigcache_take(8 * MIB, PAGE, &got);
    CHECK(mapping != NULL);
    CHECK_EQUAL(got, 9 * MIB);
    bigcache_give(mapping, got);
}

PROMISE(the_smallest_mapping_that_fits_is_taken) {
    size_t got;
    bigcache_decay(UINT64_MAX);
    bigcache_give(mapped(9 * MIB), 9 * MIB);
    void *small = mapped(8 * MIB + MIB / 2);
    bigcache_give(small, 8 * MIB + MIB / 2);
    CHECK(bigcache_take(8 * MIB, PAGE, &got) == small);
    bigcache_give(small, got);
}

PROMISE(an_alignment_is_met_or_refused) {
    size_t got;
    bigcache_decay(UINT64_MAX);
    char *mapping = os_map(8 * MIB, 4 * MIB);
    CHECK(mapping != NULL);
    CHECK(os_unmap(mapping, MIB));
    bigcache_give(mapping + MIB, 7 * MIB);
    CHECK(bigcache_take(7 * MIB, 2 * MIB, &got) == NULL);
    CHECK(bigcache_take(7 * MIB, MIB, &got) == mapping + MIB);
    bigcache_give(mapping + MIB, got);
}

PROMISE(bytes_never_exceed_the_bound) {
    bigcache_decay(UINT64_MAX);
    for (int i = 0; i < 100; i++) {
        size_t bytes = (size_t)(1 + i % 23) * MIB;
        bigcache_give(mapped(bytes), bytes);
        CHECK(stats_now().bytes <= config.bigcache);
    }
    bigcache_decay(UINT64_MAX);
}

PROMISE(what_is_larger_than_the_bound_is_never_kept_and_drives_nothing_out) {
    bigcache_decay(UINT64_MAX);
    bigcache_give(mapped(2 * MIB), 2 * MIB);
    uint64_t kept = stats_now().bytes;
    size_t bytes = config.bigcache + MIB;
    bigcache_give(mapped(bytes), bytes);
    CHECK_EQUAL(stats_now().bytes, kept);
}

PROMISE(the_number_of_mappings_is_bounded_too) {
    bigcache_decay(UINT64_MAX);
    for (int i = 0; i < 3 * BIGCACHE_SLOTS; i++) {
        bigcache_give(mapped(64 * KIB), 64 * KIB);
    }
    CHECK(stats_now().bytes <= BIGCACHE_SLOTS * 64 * KIB);
    CHECK_EQUAL(bigcache_decay(UINT64_MAX), BIGCACHE_SLOTS * 64 * KIB);
    CHECK_EQUAL(stats_now().bytes, 0);
}

PROMISE(only_what_has_rested_long_enough_decays) {
    bigcache_decay(UINT64_MAX);
    uint64_t before = os_coarse_ms();
    bigcache_give(mapped(3 * MIB), 3 * MIB);
    CHECK_EQUAL(bigcache_decay(before + config.decay_ms - 1), 0);
    CHECK_EQUAL(bigcache_decay(os_coarse_ms() + config.decay_ms), 3 * MIB);
    CHECK_EQUAL(stats_now().bytes, 0);
}

PROMISE(a_mapping_that_the_system_will_not_end_gives_its_memory_back) {
    if (config.bigcache < 4 * MIB) {
        return;
    }
    bigcache_decay(UINT64_MAX);
    unsigned char *mapping = mapped(2 * MIB);
    bigcache_give(mapping, 2 * MIB);
    refuse_begin(CALL_MUNMAP, 1, 1000);
    bigcache_decay(UINT64_MAX);
    refuse_end();
    CHECK_EQUAL(*mapping, 0);
    CHECK(os_unmap(mapping, 2 * MIB));
}

static void give_and_take(int index) {
    unsigned long long state = (unsigned long long)index + 9;
    for (int round = 0; round < 600; round++) {
        size_t bytes = bigcache_round((1 + check_random(&state) % 6) * MIB), got = bytes;
        uintptr_t *mapping = bigcache_take(bytes, PAGE, &got);
        if (mapping == NULL) {
            mapping = mapped(got);
        }
        *mapping = (uintptr_t)index * 100000 + (uintptr_t)round;
        mapping[got / sizeof *mapping - 1] = *mapping;
        if (round % 50 == 0) {
            bigcache_decay(UINT64_MAX);
        }
        CHECK_EQUAL(*mapping, (uintptr_t)index * 100000 + (uintptr_t)round);
        CHECK_EQUAL(mapping[got / sizeof *mapping - 1], *mapping);
        bigcache_give(mapping, got);
    }
}

PROMISE(threads_never_have_one_mapping_together) {
    crew_run(4, give_and_take);
    CHECK(stats_now().bytes <= config.bigcache);
    bigcache_decay(UINT64_MAX);
}
