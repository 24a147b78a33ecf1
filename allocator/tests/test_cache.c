/* cache: a thread's own free blocks; how caches come, go, grow and shrink. Linked with --wrap, so
 * that a test can refuse memory for a cache, and a thread its destructor; and that no decay period
 * ends but where a test says so. */
#include "base/config.h"
#include "base/decay.h"
#include "clock.h"
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"
#include "stores/cache.h"
#include "stores/room.h"
#include "stores/shelf.h"

#include <errno.h>

/* Blocks that a bin may hold beyond the thread's share, in bytes over all classes (see bins.h). */
static size_t floor_bytes(void) {
    size_t sum = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        size_t two = (size_t)2 * sizeclass[cls].size;
        sum += two > 128 ? two : 128;
    }
    return sum;
}

static struct cache_stats stats_now(void) {
    struct cache_stats stats;
    cache_stats(&stats);
    return stats;
}

static uint64_t cached_blocks(void) {
    struct cache_stats stats = stats_now();
    uint64_t sum = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        sum += stats.blocks[cls];
    }
    return sum;
}

static _Atomic bool refuse_maps;
void *__real_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment);
void *__wrap_os_map(size_t bytes, size_t alignment) {
    return atomic_load(&refuse_maps) ? NULL : __real_os_map(bytes, alignment);
}

static _Atomic uint64_t clock_ms = 1000;

/* ThreadSanitizer's own runtime comes by here too, before a thread is ready for its checks. */
#if __has_attribute(disable_sanitizer_instrumentation)
#define UNWATCHED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNWATCHED __attribute__((no_sanitize("thread")))
#endif

static _Thread_local int refuse_specific;
int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
UNWATCHED int __wrap_pthread_setspecific(pthread_key_t key, const void *value) {
    return refuse_specific ? ENOMEM : __real_pthread_setspecific(key, value);
}

static void use_every_class(int index) {
    struct parcel parcels[CLASS_COUNT][3];
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        for (int i = 0; i < 3; i++) {
            /* The pattern only at the front: filling every megabyte is another test's work. */
            size_t size = sizeclass[cls].size, filled = size < 512 ? size : 512;
            parcels[cls][i] = (struct parcel){hak_malloc(size), filled, (uint32_t)index, cls};
            CHECK(parcels[cls][i].block != NULL);
            parcel_fill(&parcels[cls][i]);
        }
    }
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        for (int i = 0; i < 3; i++) {
            parcel_end(&parcels[cls][i]);
        }
    }
}

/* Many blocks of one class at once, so that its bin is pressed to grow. */
static void press(unsigned cls, unsigned n) {
    void *blocks[1024];
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < n; i++) {
            blocks[i] = hak_malloc(sizeclass[cls].size);
            CHECK(blocks[i] != NULL);
        }
        for (unsigned i = 0; i < n; i++) {
            hak_free(blocks[i]);
        }
    }
}

static void press_all(int index) {
    (void)index;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        press(cls, sizeclass[cls].size > 64 * KIB ? 8 : 600);
        CHECK(atomic_load(&cache_self->room_bytes) <= cache_self->share_bytes + floor_bytes());
    }
}

static pthread_barrier_t meet;

static void use_and_meet(int index) {
    use_every_class(index);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
}

static void *lead_eight(void *unused) {
    crew_run(8, use_and_meet);
    return unused;
}

PROMISE(threads_have_caches_while_they_live_and_none_afterwards) {
    pthread_t leader;
    hak_free(hak_malloc(100));
    uint64_t before = stats_now().threads;
    CHECK(pthread_barrier_init(&meet, NULL, 9) == 0);
    CHECK(pthread_create(&leader, NULL, lead_eight, NULL) == 0);
    pthread_barrier_wait(&meet);
    CHECK_EQUAL(stats_now().threads, before + 8);
    pthread_barrier_wait(&meet);
    CHECK(pthread_join(leader, NULL) == 0);
    CHECK_EQUAL(stats_now().threads, before);
}

PROMISE(an_ended_thread_leaves_no_block_in_its_cache) {
    cache_drain();
    CHECK_EQUAL(cached_blocks(), 0);
    crew_run(4, use_every_class);
    CHECK_EQUAL(cached_blocks(), 0);
}

PROMISE(the_caches_of_ended_threads_are_used_again) {
    for (int i = 0; i < 100; i++) {
        crew_run(1, use_every_class);
    }
    CHECK(cache_count() < 100);
}

PROMISE(an_ended_thread_leaves_no_memory_of_its_cache) {
    crew_run(8, press_all);
    uint64_t refills = stats_now().refills[CLASS_FIRST];
    CHECK(refills > 0);
    /* At least the long stacks of eight, which nobody took over meanwhile. */
    CHECK(cache_purge(0) > 0);
    CHECK_EQUAL(cache_purge(0), 0);
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = shelf_at(i)->memory;
        CHECK(cache_at(i) != NULL || (!cache->prepared && cache->long_stacks == NULL));
    }
    CHECK_EQUAL(stats_now().refills[CLASS_FIRST], refills);
    crew_run(8, press_all);
}

static void use_a_little(int index) {
    use_every_class(index);
    CHECK(cache_self->long_stacks == NULL);
}

PROMISE(a_quiet_thread_has_no_long_stacks) {
    hak_trim(); /* else it may take over the cache of a busy one */
    crew_run(4, use_a_little);
}

PROMISE(a_bin_that_outgrows_its_short_stack_keeps_its_blocks) {
    hak_trim();
    unsigned cls = sizeclass_small(100);
    press(cls, 64);
    if (config.budget != 0) {
        CHECK(cache_self->wide[cls]);
        CHECK(cached_blocks() >= bin_early(cls));
    }
    hak_trim();
    CHECK(!cache_self->wide[cls]);
    CHECK_EQUAL(cached_blocks(), 0);
    press(cls, 64);
}

PROMISE(a_refused_long_stack_leaves_the_bin_as_it_was) {
    hak_trim();
    refuse_maps = true;
    crew_run(1, press_all);
    refuse_maps = false;
    press(sizeclass_small(100), 64);
}

PROMISE(a_drained_cache_is_empty_and_works_on) {
    use_every_class(1);
    CHECK(cached_blocks() > 0);
    cache_drain();
    CHECK_EQUAL(cached_blocks(), 0);
    CHECK_EQUAL(atomic_load(&cache_self->room_bytes), 0);
    use_every_class(2);
}

/* Sixteen threads' first blocks of 32 bytes. */
static uintptr_t first_block[16];

static void take_a_first_block(int index) {
    void *block = hak_malloc(32);
    CHECK(block != NULL);
    first_block[index] = (uintptr_t)block;
    pthread_barrier_wait(&meet);
    hak_free(block);
}

PROMISE(the_first_small_blocks_of_threads_share_no_cache_line) {
    hak_trim(); /* what the stores hold is in the order in which it was freed */
    CHECK(pthread_barrier_init(&meet, NULL, 16) == 0);
    crew_run(16, take_a_first_block);
    pthread_barrier_destroy(&meet);
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            CHECK(first_block[i] / 64 != first_block[j] / 64);
        }
    }
}

PROMISE(a_cache_parts_with_what_its_thread_does_not_use_while_memory_grows) {
    enum { BLOCKS = 20000 };
    static void *blocks[BLOCKS];
    unsigned unused = sizeclass_small(100);
    press(unused, 1000);
    uint64_t before = stats_now().blocks[unused];
    CHECK(before > 100);
    for (int i = 0; i < BLOCKS; i++) { /* 160 MB */
        blocks[i] = hak_malloc(8000);
        CHECK(blocks[i] != NULL);
    }
    CHECK(stats_now().blocks[unused] < before / 8);
    for (int i = 0; i < BLOCKS; i++) {
        hak_free(blocks[i]);
    }
    hak_trim();
}

PROMISE(the_room_of_a_cache_stays_within_its_share) {
    press_all(0);
    uint64_t held = 0;
    struct cache_stats stats = stats_now();
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        held += stats.blocks[cls] * sizeclass[cls].size;
    }
    CHECK(held <= cache_self->share_bytes + floor_bytes());
}

PROMISE(the_share_of_many_active_threads_is_a_part_of_the_budget) {
    crew_run(8, press_all);
}

/* Blocks nobody touches: used, but not there. */
static void *unused_gigabyte[40];

static void take_gigabyte(void) {
    for (int i = 0; i < 40; i++) {
        unused_gigabyte[i] = hak_malloc((size_t)30 << 20);
        CHECK(unused_gigabyte[i] != NULL);
    }
}

static void give_gigabyte(void) {
    for (int i = 0; i < 40; i++) {
        hak_free(unused_gigabyte[i]);
    }
}

PROMISE(the_automatic_budget_follows_the_memory_in_use) {
    if (config.budget != CONFIG_AUTO) {
        CHECK_EQUAL(room_budget(), config.budget);
        return;
    }
    size_t before = room_budget();
    CHECK(before >= (size_t)96 << 20);
    take_gigabyte();
    CHECK(room_budget() >= (size_t)140 << 20);
    give_gigabyte();
    CHECK(room_budget() < (size_t)140 << 20);
}

PROMISE(a_cache_at_its_limit_notices_that_the_budget_has_grown) {
    if (config.budget != CONFIG_AUTO) {
        return;
    }
    use_every_class(0); /* from here on there is a cache */
    cache_drain();
    take_gigabyte();
    /* As if it had last looked when much less was in use. */
    cache_self->tick = decay_period();
    cache_self->share_bytes = ROOM_SHARE_LEAST;
    cache_self->budget_bytes = room_budget() / 2;
    press(CLASS_TINY_LAST, 600);
    CHECK(cache_self->share_bytes > ROOM_SHARE_LEAST);
    give_gigabyte();
}

PROMISE(a_bin_never_holds_more_than_its_slots) {
    for (unsigned cls = CLASS_FIRST; cls <= CLASS_MID_LAST; cls += 5) {
        press(cls, 1024);
        CHECK(stats_now().blocks[cls] <= sizeclass[cls].slots);
    }
}

static pthread_barrier_t stay;

static void stay_active(int index) {
    use_every_class(index);
    pthread_barrier_wait(&stay);
    pthread_barrier_wait(&stay);
}

static void *lead_sixty(void *unused) {
    crew_run(60, stay_active);
    return unused;
}

PROMISE(a_cache_that_is_over_its_fallen_share_gives_room_back) {
    if (SANITIZED) {
        return;
    }
    pthread_t leader;
    press_all(0);
    size_t alone = atomic_load(&cache_self->room_bytes);
    CHECK(pthread_barrier_init(&stay, NULL, 61) == 0);
    CHECK(pthread_create(&leader, NULL, lead_sixty, NULL) == 0);
    pthread_barrier_wait(&stay);
    /* The periods in which the cache trims itself, each at its first slow path. */
    for (int period = 0; period < 40; period++) {
        atomic_fetch_add(&decay_now, 1);
        cache_count_active();
        press(CLASS_FIRST, 1024);
    }
    CHECK(atomic_load(&cache_self->room_bytes) <= cache_self->share_bytes + floor_bytes());
    CHECK(atomic_load(&cache_self->room_bytes) < alone);
    pthread_barrier_wait(&stay);
    CHECK(pthread_join(leader, NULL) == 0);
}

PROMISE(the_count_of_active_threads_is_never_below_one) {
    for (int round = 0; round < 20; round++) {
        crew_run(8, use_every_class);
        cache_count_active();
        CHECK(stats_now().active >= 1 && stats_now().active <= 64);
    }
}

static void without_destructor(int index) {
    refuse_specific = 1;
    errno = 77;
    use_every_class(index);
    CHECK_EQUAL(errno, 77);
    refuse_specific = 0;
    use_every_class(index);
}

PROMISE(a_thread_that_cannot_have_a_destructor_allocates_without_a_cache) {
    uint64_t before = stats_now().threads;
    crew_run(4, without_destructor);
    CHECK_EQUAL(stats_now().threads, before);
}

/* Half of the blocks of each batch are left to a thread that outlives their maker. */
static void *left[64][64];

static void leave_blocks(int index) {
    for (int i = 0; i < 64; i++) {
        left[index][i] = hak_malloc(16 + 40 * (size_t)i);
        CHECK(left[index][i] != NULL);
        memset(left[index][i], index, 16 + 40 * (size_t)i);
    }
}

PROMISE(blocks_outlive_the_cache_they_came_from) {
    crew_run(64, leave_blocks);
    crew_run(16, use_every_class);
    for (int k = 0; k < 64; k++) {
        for (int i = 0; i < 64; i++) {
            unsigned char *block = left[k][i];
            CHECK(block[0] == k && block[15 + 40 * i] == k);
            hak_free(block);
        }
    }
}
