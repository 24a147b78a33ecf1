#include "stores/cache.h"
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"
#include "base/say.h"
#include "stores/central.h"
#include "stores/dirty.h"
#include "stores/room.h"
#include "stores/shelf.h"
#include "stores/stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static pthread_key_t key;
static _Atomic bool key_made;

/* What cache_self points to while nothing stands in for it. */
static _Thread_local struct cache *own __attribute__((tls_model("initial-exec")));

/* Blocks that one refill brings at most: less than a page of pointers. */
#define REFILL_MOST ((size_t)256)

#define RELAXED memory_order_relaxed

/* What the caches counted whose threads have ended; CACHES. */
static struct cache_stats ended;

static void retire(void *value);

void cache_init(void) {
    bins_init();
    shelf_init();
    stack_init();
}

void cache_init_threads(void) {
    life_init();
    atomic_store_explicit(&key_made, pthread_key_create(&key, retire) == 0, memory_order_release);
}

/* Every bin empty, its stack where it belongs, without room. */
static void lay_out(struct cache *cache) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        cache->base[cls] = stack_origin(cache, cls);
        cache->bin[cls].head = NULL;
        bin_set_top(&cache->bin[cls], cache->base[cls] - 1);
        cache->bin[cls].end = cache->base[cls] - 1;
    }
    atomic_store_explicit(&cache->room_bytes, 0, RELAXED);
}

/* A cache in memory that reads as zero. */
static void prepare(struct cache *cache, struct place *place) {
    for (unsigned i = 0; i < CLASS_LIMIT; i++) {
        cache->bin[i] = cache_none.bin[i];
    }
    lay_out(cache);
    cache->place = place;
    cache->prepared = true;
}

static void set_self(struct cache *cache) {
    atomic_store_explicit(&cache_self, cache, RELAXED);
}

/* Gives the calling thread a cache; false if it cannot have one (no memory, or it is ending, or all
 * is only just coming up), or must not (checked mode sees every operation). */
static bool adopt(void) {
    if (cache_now() == &cache_gone || cache_now() == NULL || config.check ||
        !atomic_load_explicit(&key_made, memory_order_acquire)) {
        return false;
    }
    struct place *place = shelf_take();
    if (place == NULL) {
        return false;
    }
    struct cache *cache = place->memory;
    if (!cache->prepared) {
        prepare(cache, place);
    }
    atomic_store_explicit(&place->taken, true, memory_order_release);
    atomic_fetch_add_explicit(&room_active, 1, RELAXED);
    cache->tick = decay_period();
    cache->steps = dirty_steps();
    atomic_store_explicit(&cache->active, cache->tick, RELAXED);
    room_share(cache);
    own = cache;
    set_self(cache);
    /* May allocate (keys above 32): from the cache that has just been set. */
    int saved = errno;
    life_begin(&cache->life);
    bool kept = pthread_setspecific(key, cache) == 0;
    errno = saved;
    if (!kept) {
        /* Nobody would take it back at the thread's end: better none. */
        retire(cache);
        set_self(&cache_none);
        return false;
    }
    lock_acquire(&cache_lock);
    cache->self = &cache_self;
    lock_release(&cache_lock);
    return true;
}

/* Where each bin's stack begins is changed by whoever took from a sleeping thread's: moves what is
 * left to where it was. */
static void restore(struct cache *cache) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        stack_restore(cache, cls);
    }
    cache->emptied = false;
    atomic_store_explicit(&cache->suspended, false, RELAXED);
}

/* The thread is back: its cache is its own again. If nothing was taken from it, nothing about it
 * has changed, so that a busy thread which needs no slow path for long is none the worse. */
COLD static struct cache *resume(void) {
    struct cache *cache = own;
    if (cache == NULL) {
        /* Meant for a thread that ended without telling, whose place in memory is now ours. */
        set_self(&cache_none);
        return NULL;
    }
    lock_acquire(&cache_lock);
    if (!cache->emptied) {
        cache->tick = decay_period();
        cache->steps = dirty_steps();
    }
    restore(cache);
    atomic_store_explicit(&cache->slow, true, RELAXED);
    set_self(cache);
    lock_release(&cache_lock);
    atomic_store_explicit(&cache->active, decay_period(), RELAXED);
    return cache;
}

/* The slow paths' way in: the thread's cache, which nobody takes from until it leaves, or NULL if
 * it has none. The barrier between the store and the load is for the compiler: whoever suspends
 * the cache waits until no processor can still have the one before the other (idle.h). */
static struct cache *enter(void) {
    struct cache *cache = cache_here();
    if (unlikely(cache == &cache_none || cache == &cache_gone)) {
        if (!adopt()) {
            return NULL;
        }
        cache = cache_now();
    }
    if (likely(cache != &cache_suspended)) {
        atomic_store_explicit(&cache->slow, true, RELAXED);
        atomic_signal_fence(memory_order_seq_cst);
        if (likely(cache_now() == cache)) {
            return cache;
        }
        atomic_store_explicit(&cache->slow, false, memory_order_release);
    }
    return resume();
}

static void leave(struct cache *cache) {
    atomic_store_explicit(&cache->slow, false, memory_order_release);
}

/* What every slow path does beside its own work. */
static void slow_event(struct cache *cache, unsigned cls) {
    cache->events[cls]++;
    decay_run_if_due();
    bool next = cache->tick != decay_period();
    if (unlikely(next)) {
        atomic_store_explicit(&cache->active, decay_period(), RELAXED);
    }
    if (unlikely(next || cache->steps != dirty_steps())) {
        room_trim(cache);
        cache->events[cls] = 1; /* this one, which is the first since the trim */
    }
}

COLD void *cache_refill(unsigned cls) {
    struct cache *cache = enter();
    if (unlikely(cache == NULL)) {
        decay_run_if_due();
        void *block;
        return central_take(cls, &block, 1) == 1 ? block : NULL;
    }
    struct bin *bin = &cache->bin[cls];
    if (unlikely(bin->head != NULL)) {
        /* It was not empty, only suspended. */
        void *block = bin_pop(bin);
        leave(cache);
        return block;
    }
    slow_event(cache, cls);
    lock_bump(&cache->refills[cls], 1);
    cache->drawn[cls] = 1;
    room_grow(cache, cls);
    size_t room = room_of(cache, cls);
    if (unlikely(room == 0)) {
        void *block;
        unsigned got = central_take(cls, &block, 1);
        leave(cache);
        return got == 1 ? block : NULL;
    }
    /* Half of the room, so that frees find room too; straight into the stack, whose pages are
     * touched before the store's lock is taken. */
    size_t want = (room + 1) / 2 < REFILL_MOST ? (room + 1) / 2 : REFILL_MOST;
    void **base = cache->base[cls];
    base[0] = base[want - 1] = NULL;
    unsigned got = central_take(cls, base, (unsigned)want);
    if (unlikely(got == 0)) {
        leave(cache);
        return NULL;
    }
    /* Reversed, so that the first taken are the first out: neighbours in memory, in order. */
    for (unsigned low = 0, high = got - 1; low < high; low++, high--) {
        void *block = base[low];
        base[low] = base[high];
        base[high] = block;
    }
    void *block = base[got - 1];
    bin_set_top(bin, base + got - 1);
    bin_close(bin);
    leave(cache);
    return block;
}

COLD void cache_flush(unsigned cls, void *block) {
    struct cache *cache = enter();
    if (unlikely(cache == NULL)) {
        decay_run_if_due();
        central_give(cls, &block, 1);
        return;
    }
    struct bin *bin = &cache->bin[cls];
    if (unlikely(bin->head == block)) {
        say_die("free(): double free", block);
    }
    slow_event(cache, cls);
    lock_bump(&cache->flushes[cls], 1);
    if (cache->drawn[cls] != 0 || room_of(cache, cls) < room_one_way(cls)) {
        room_grow(cache, cls);
    }
    if (bin_top(bin) == bin->end) {
        if (room_of(cache, cls) == 0) {
            central_give(cls, &block, 1);
            leave(cache);
            return;
        }
        room_spill(cache, cls, room_of(cache, cls) / 2);
    }
    bin_push(bin, block);
    leave(cache);
}

void cache_drain(void) {
    struct cache *cache = own != NULL ? enter() : NULL;
    if (cache != NULL) {
        room_empty(cache);
        stack_narrow(cache);
        leave(cache);
    }
}

/* Adds what the cache counted to what the ended ones did, and begins anew. Requires CACHES. */
static void remember(struct cache *cache) {
    memset(cache->events, 0, sizeof cache->events);
    memset(cache->drawn, 0, sizeof cache->drawn);
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        ended.refills[cls] += atomic_exchange_explicit(&cache->refills[cls], 0, RELAXED);
        ended.flushes[cls] += atomic_exchange_explicit(&cache->flushes[cls], 0, RELAXED);
    }
    ended.registry_lookups += atomic_exchange_explicit(&cache->registry_lookups, 0, RELAXED);
    ended.leaked += atomic_exchange_explicit(&cache->leaked, 0, RELAXED);
}

/* The thread's destructor. Other destructors, and libc's own, may still allocate and free: they go
 * straight to the central store. */
static void retire(void *value) {
    struct cache *cache = value;
    lock_acquire(&cache_lock);
    cache->self = NULL;
    lock_release(&cache_lock);
    own = NULL;
    set_self(&cache_gone);
    life_end(&cache->life);
    cache_bury(cache);
}

void cache_bury(struct cache *cache) {
    lock_acquire(&cache_lock);
    cache->self = NULL;
    restore(cache);
    lock_release(&cache_lock);
    room_empty(cache);
    /* Not below 1, whoever else counts or ends meanwhile. */
    uint32_t active = atomic_load_explicit(&room_active, RELAXED);
    while (active > 1 && !atomic_compare_exchange_weak_explicit(&room_active, &active, active - 1,
                                                                RELAXED, RELAXED)) {
    }
    struct place *place = cache->place;
    lock_acquire(&cache_lock);
    remember(cache);
    atomic_store_explicit(&place->taken, false, RELAXED);
    lock_release(&cache_lock);
    shelf_give(place, decay_period());
}

size_t cache_purge(uint32_t age) {
    size_t bytes = 0;
    struct place *place;
    while ((place = shelf_take_rested(decay_period(), age)) != NULL) {
        void **long_stacks = ((struct cache *)place->memory)->long_stacks;
        if (!os_purge(place->memory, SHELF_PLACE)) {
            shelf_give(place, decay_period());
            return bytes;
        }
        shelf_give_cold(place);
        bytes += SHELF_PLACE + stack_end(long_stacks);
    }
    return bytes;
}

struct cache *cache_own(void) {
    return own;
}

unsigned cache_count(void) {
    return shelf_count();
}

struct cache *cache_at(unsigned number) {
    struct place *place = shelf_at(number);
    return atomic_load_explicit(&place->taken, memory_order_acquire) ? place->memory : NULL;
}

void cache_count_active(void) {
    uint32_t active = 0, now = decay_period();
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        active += cache != NULL && now - atomic_load_explicit(&cache->active, RELAXED) <= 1;
    }
    atomic_store_explicit(&room_active, active != 0 ? active : 1, RELAXED);
}

void cache_after_fork(void) {
    /* The other threads ran on while the kernel copied page after page, so their caches and slots
     * may be of different moments: a block could stand in two of them. They are given up, as
     * glibc gives up its own; at most config.budget bytes, and only in the child. */
    for (unsigned i = 0; i < shelf_count(); i++) {
        struct place *place = shelf_at(i);
        atomic_store_explicit(&place->taken, own != NULL && place == own->place, RELAXED);
    }
    atomic_store_explicit(&room_total, own != NULL ? own->reported_bytes : 0, RELAXED);
    atomic_store_explicit(&room_active, 1, RELAXED);
}

void cache_live_again(void) {
    if (own != NULL && own->self != NULL) {
        life_begin(&own->life);
    }
}

void cache_forget(void) {
    if (own != NULL) {
        if (cache_now() == &cache_suspended) {
            lay_out(own);
            own->emptied = true;
        }
        atomic_store_explicit(&own->suspended, false, RELAXED);
    }
    shelf_forget();
    cache_after_fork();
}

void cache_stats(struct cache_stats *out) {
    lock_acquire(&cache_lock);
    *out = ended;
    for (unsigned i = 0; i < cache_count(); i++) {
        struct cache *cache = cache_at(i);
        if (cache == NULL) {
            continue;
        }
        out->threads++;
        out->registry_lookups += atomic_load_explicit(&cache->registry_lookups, RELAXED);
        out->leaked += atomic_load_explicit(&cache->leaked, RELAXED);
        for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
            ptrdiff_t filled = bin_top(&cache->bin[cls]) - cache->base[cls] + 1;
            out->blocks[cls] += filled > 0 ? (uint64_t)filled : 0;
            out->refills[cls] += atomic_load_explicit(&cache->refills[cls], RELAXED);
            out->flushes[cls] += atomic_load_explicit(&cache->flushes[cls], RELAXED);
        }
    }
    lock_release(&cache_lock);
    struct cache *stand_ins[] = {&cache_none, &cache_gone, &cache_suspended};
    for (int i = 0; i < 3; i++) {
        out->leaked += atomic_load_explicit(&stand_ins[i]->leaked, RELAXED);
        out->registry_lookups += atomic_load_explicit(&stand_ins[i]->registry_lookups, RELAXED);
    }
    out->active = atomic_load_explicit(&room_active, RELAXED);
    size_t active = out->active != 0 ? out->active : 1;
    out->share = room_budget() / active;
    out->share = out->share > ROOM_SHARE_LEAST ? out->share : ROOM_SHARE_LEAST;
}
