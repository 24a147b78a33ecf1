#include "cache.h"
#include "central.h"
#include "config.h"
#include "decay.h"
#include "os.h"
#include "room.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Where the bins point that have no slots. */
static void *nothing[2];
#define NO_SLOTS {NULL, &nothing[1], &nothing[1], NULL}

/* Before the first operation of a thread, after the last, and while its cache is suspended. */
static struct cache cache_none = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};
static struct cache cache_gone = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};
struct cache cache_suspended = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};

_Thread_local struct cache *_Atomic cache_self __attribute__((tls_model("initial-exec"))) =
    &cache_none;

struct lock cache_lock;
static struct cache *all, *unused;
static pthread_key_t key;
static _Atomic bool key_made;

/* What cache_self points to while nothing stands in for it. */
static _Thread_local struct cache *own __attribute__((tls_model("initial-exec")));
static size_t slots_total;

#define RELAXED memory_order_relaxed

static void retire(void *cache);

void cache_init(void) {
    lock_init(&cache_lock, "caches", -1, RANK_CACHES);
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        slots_total += sizeclass[cls].slots + 1u;
    }
}

void cache_init_threads(void) {
    life_init();
    atomic_store_explicit(&key_made, pthread_key_create(&key, retire) == 0, memory_order_release);
}

/* Every bin empty, its array where it belongs, without room. */
static void lay_out(struct cache *cache) {
    void **slot = cache->slots;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        *slot++ = NULL;
        cache->base[cls] = slot;
        cache->bin[cls].head = NULL;
        bin_set_top(&cache->bin[cls], slot - 1);
        cache->bin[cls].end = slot - 1;
        slot += sizeclass[cls].slots;
    }
    atomic_store_explicit(&cache->room_bytes, 0, RELAXED);
}

static struct cache *cache_new(void) {
    struct cache *cache =
        os_map(align_up(sizeof(struct cache) + slots_total * sizeof(void *), PAGE), PAGE);
    if (cache == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < CLASS_LIMIT; i++) {
        bin_set_top(&cache->bin[i], &nothing[1]);
        cache->bin[i].end = &nothing[1];
    }
    lay_out(cache);
    return cache;
}

static void set_self(struct cache *cache) {
    atomic_store_explicit(&cache_self, cache, RELAXED);
}

/* Gives the calling thread a cache; false if it cannot have one (no memory, or it is ending, or all
 * is only just coming up), or must not (checked mode sees every operation). */
static bool adopt(void) {
    if (cache_now() == &cache_gone || config.check ||
        !atomic_load_explicit(&key_made, memory_order_acquire)) {
        return false;
    }
    lock_acquire(&cache_lock);
    struct cache *cache = unused;
    if (cache != NULL) {
        unused = cache->next_unused;
        cache->used = true;
    }
    lock_release(&cache_lock);
    if (cache == NULL) {
        cache = cache_new();
        if (cache == NULL) {
            return false;
        }
        lock_acquire(&cache_lock);
        cache->used = true;
        cache->next = all;
        all = cache;
        lock_release(&cache_lock);
    }
    atomic_fetch_add_explicit(&room_active, 1, RELAXED);
    cache->tick = decay_period();
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

/* Where each bin's array begins is changed by whoever took from a sleeping thread's: moves what is
 * left to where it was. */
static void restore(struct cache *cache) {
    void **origin = cache->slots + 1;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        void **base = cache->base[cls];
        if (base != origin) {
            size_t filled = (size_t)(bin_top(&cache->bin[cls]) - base);
            memmove(origin, base, filled * sizeof *base);
            cache->base[cls] = origin;
            bin_set_top(&cache->bin[cls], origin + filled);
        }
        origin += sizeclass[cls].slots + 1u;
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
    struct cache *cache = cache_now();
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
    if (unlikely(cache->tick != decay_period())) {
        atomic_store_explicit(&cache->active, decay_period(), RELAXED);
        room_trim(cache);
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
    /* Half of the room, so that frees find room too. */
    size_t want = (room_of(cache, cls) + 1) / 2;
    if (want == 0) {
        want = 1;
    }
    void *batch[256];
    unsigned got = central_take(cls, batch, (unsigned)(want < 256 ? want : 256));
    if (got == 0) {
        leave(cache);
        return NULL;
    }
    /* Reversed, so that the first taken are the first out: neighbours in memory, in order. */
    bin_open(bin);
    void **top = bin_top(bin);
    for (unsigned i = got; i > 1; i--) {
        *top++ = batch[i - 1];
    }
    bin_set_top(bin, top);
    bin_close(bin);
    leave(cache);
    return batch[0];
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
        os_die("free(): double free", block);
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
        leave(cache);
    }
}

/* Requires CACHES. */
static void shelve(struct cache *cache) {
    cache->used = false;
    cache->next_unused = unused;
    unused = cache;
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
    lock_acquire(&cache_lock);
    shelve(cache);
    lock_release(&cache_lock);
}

struct cache *cache_own(void) {
    return own;
}

struct cache *cache_first(void) {
    lock_acquire(&cache_lock);
    struct cache *first = all;
    lock_release(&cache_lock);
    return first;
}

void cache_count_active(void) {
    uint32_t active = 0, now = decay_period();
    lock_acquire(&cache_lock);
    for (struct cache *cache = all; cache != NULL; cache = cache->next) {
        active += cache->used && now - atomic_load_explicit(&cache->active, RELAXED) <= 1;
    }
    lock_release(&cache_lock);
    atomic_store_explicit(&room_active, active != 0 ? active : 1, RELAXED);
}

void cache_after_fork(void) {
    /* The other threads ran on while the kernel copied page after page, so their caches and slots
     * may be of different moments: a block could stand in two of them. They are given up, as
     * glibc gives up its own; at most config.budget bytes, and only in the child. */
    all = own;
    unused = NULL;
    if (own != NULL) {
        own->next = NULL;
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
    cache_after_fork();
}

void cache_stats(struct cache_stats *out) {
    memset(out, 0, sizeof *out);
    lock_acquire(&cache_lock);
    for (struct cache *cache = all; cache != NULL; cache = cache->next) {
        out->threads += cache->used;
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
