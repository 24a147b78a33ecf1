#include "cache.h"
#include "central.h"
#include "config.h"
#include "decay.h"
#include "lock.h"
#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* However many threads there are, each may cache this much: less, and every operation would be a
 * slow one. */
#define SHARE_LEAST ((size_t)128 * KIB)

/* Bytes of a class that a thread may cache which only frees it. */
#define ONE_WAY_BYTES ((size_t)64 * KIB)

/* Blocks a bin in use may hold whatever the budget says. */
#define ROOM_LEAST ((size_t)2)

/* Slow paths of a bin in one decay period that earn it more room than ROOM_EARLY: a bin that has
 * fewer loses less time than more blocks would cost memory. */
#define GROWTH_EVENTS 8
#define ROOM_EARLY ((size_t)4)

/* Where the bins point that have no slots. */
static void *nothing[2];
#define NO_SLOTS {NULL, &nothing[1], &nothing[1], NULL}

/* Before the first and after the last operation of a thread. */
static struct cache cache_none = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};
static struct cache cache_gone = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};

_Thread_local struct cache *cache_self __attribute__((tls_model("initial-exec"))) = &cache_none;

static struct lock lock; /* CACHES */
static struct cache *all, *unused;
static _Atomic uint32_t active_count;
static _Atomic size_t rooms; /* bytes of room over all caches */
static pthread_key_t key;
static size_t slots_total;

#define RELAXED memory_order_relaxed

static void retire(void *cache);

void cache_init(void) {
    lock_init(&lock, "caches", -1);
    pthread_key_create(&key, retire);
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        slots_total += sizeclass[cls].slots + 1u;
    }
}

static size_t room_of(const struct cache *cache, unsigned cls) {
    return (size_t)(cache->bin[cls].end - cache->base[cls] + 1);
}

static size_t filled_of(const struct cache *cache, unsigned cls) {
    return (size_t)(bin_top(&cache->bin[cls]) - cache->base[cls] + 1);
}

static size_t room_bytes(const struct cache *cache) {
    return atomic_load_explicit(&cache->room_bytes, RELAXED);
}

static void set_room(struct cache *cache, unsigned cls, size_t room) {
    size_t change = (room - room_of(cache, cls)) * sizeclass[cls].size;
    atomic_store_explicit(&cache->room_bytes, room_bytes(cache) + change, RELAXED);
    cache->bin[cls].end = cache->base[cls] + room - 1;
}

/* Tells the others how much room this cache has; once a decay period, since it is a shared counter.
 */
static void report_room(struct cache *cache) {
    size_t now = room_bytes(cache);
    atomic_fetch_add_explicit(&rooms, now - cache->reported_bytes, RELAXED);
    cache->reported_bytes = now;
}

/* The thread's part of what active threads may share: the budget less what sleeping ones hold. */
static void set_share(struct cache *cache) {
    report_room(cache);
    size_t active = atomic_load_explicit(&active_count, RELAXED);
    size_t share = config.budget / (active != 0 ? active : 1);
    size_t others = atomic_load_explicit(&rooms, RELAXED) - cache->reported_bytes;
    size_t left = config.budget > others ? config.budget - others : 0;
    share = share < left ? share : left;
    cache->share_bytes = share > SHARE_LEAST ? share : SHARE_LEAST;
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
    void **slot = cache->slots;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        *slot++ = NULL;
        cache->base[cls] = slot;
        bin_set_top(&cache->bin[cls], slot - 1);
        cache->bin[cls].end = slot - 1;
        slot += sizeclass[cls].slots;
    }
    return cache;
}

/* Gives the calling thread a cache; false if it cannot have one (no memory, or it is ending), or
 * must not (checked mode sees every operation). */
static bool adopt(void) {
    if (cache_self == &cache_gone || config.check) {
        return false;
    }
    lock_acquire(&lock);
    struct cache *cache = unused;
    if (cache != NULL) {
        unused = cache->next_unused;
        cache->used = true;
    }
    lock_release(&lock);
    if (cache == NULL) {
        cache = cache_new();
        if (cache == NULL) {
            return false;
        }
        lock_acquire(&lock);
        cache->used = true;
        cache->next = all;
        all = cache;
        lock_release(&lock);
    }
    atomic_fetch_add_explicit(&active_count, 1, RELAXED);
    cache->tick = decay_period();
    atomic_store_explicit(&cache->active, cache->tick, RELAXED);
    set_share(cache);
    cache_self = cache;
    /* May allocate (keys above 32): from the cache that has just been set. */
    int saved = errno;
    bool kept = pthread_setspecific(key, cache) == 0;
    errno = saved;
    if (!kept) {
        /* Nobody would take it back at the thread's end: better none. */
        retire(cache);
        cache_self = &cache_none;
    }
    return kept;
}

/* The bin as one plain array base[0 .. filled), the head on top, for the slow paths; and back. */
static void bin_open(struct bin *bin) {
    void **top = bin_top(bin);
    *top = bin->head;
    bin_set_top(bin, top + 1);
}

static void bin_close(struct bin *bin) {
    void **top = bin_top(bin) - 1;
    bin->head = *top;
    bin_set_top(bin, top);
}

/* Makes the bin hold at most `keep` blocks; the oldest go. */
static void spill(struct cache *cache, unsigned cls, size_t keep) {
    size_t filled = filled_of(cache, cls);
    if (filled <= keep) {
        return;
    }
    size_t out = filled - keep;
    struct bin *bin = &cache->bin[cls];
    void **base = cache->base[cls];
    bin_open(bin);
    central_give(cls, base, (unsigned)out);
    memmove(base, base + out, keep * sizeof *base);
    bin_set_top(bin, base + keep);
    bin_close(bin);
}

static void empty(struct cache *cache) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        spill(cache, cls, 0);
        if (room_of(cache, cls) != 0) {
            set_room(cache, cls, 0);
        }
    }
    report_room(cache);
}

/* Halves the room of one bin, in turn, if it had no slow path since it was last looked at or has
 * much more than `cls`. */
static void take_room(struct cache *cache, unsigned cls) {
    if (++cache->victim >= CLASS_COUNT) {
        cache->victim = CLASS_FIRST;
    }
    unsigned victim = cache->victim;
    size_t room = room_of(cache, victim), rich = room * sizeclass[victim].size;
    bool idle = cache->events[victim] == 0;
    cache->events[victim] = 0;
    if (victim == cls || room <= ROOM_LEAST ||
        (!idle && rich < 4 * (room_of(cache, cls) + 1) * sizeclass[cls].size)) {
        return;
    }
    spill(cache, victim, room / 2);
    set_room(cache, victim, room / 2);
}

/* Lets the bin grow, up to twofold, as far as the thread's share permits; where it does not, other
 * bins give way step by step. */
static void grow(struct cache *cache, unsigned cls) {
    const struct sizeclass *class = &sizeclass[cls];
    size_t room = room_of(cache, cls);
    if (room == class->slots || (room >= ROOM_EARLY && cache->events[cls] % GROWTH_EVENTS != 0)) {
        return;
    }
    size_t more = room < class->batch ? room : class->batch;
    more = more > class->slots - room ? class->slots - room : more;
    if (room < ROOM_LEAST) {
        set_room(cache, cls, ROOM_LEAST < class->slots ? ROOM_LEAST : class->slots);
        return;
    }
    if (room_bytes(cache) + more * class->size > cache->share_bytes) {
        for (int looks = 0; looks < 2; looks++) {
            take_room(cache, cls);
        }
    }
    if (room_bytes(cache) + more * class->size <= cache->share_bytes) {
        set_room(cache, cls, room + more);
    }
}

/* Once a decay period: bins that rested give half of what they hold back. */
static void trim(struct cache *cache) {
    cache->tick = decay_period();
    set_share(cache);
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        if (room_of(cache, cls) != 0 && cache->events[cls] == 0) {
            size_t keep = room_of(cache, cls) / 2;
            spill(cache, cls, keep);
            set_room(cache, cls, keep);
        }
        cache->events[cls] = 0;
        cache->drawn[cls] = 0;
    }
    for (int looks = 0; looks < 2 * CLASS_COUNT && room_bytes(cache) > cache->share_bytes;
         looks++) {
        take_room(cache, CLASS_NONE);
    }
}

/* What every slow path does beside its own work. */
static void slow_event(struct cache *cache, unsigned cls) {
    cache->events[cls]++;
    decay_run_if_due();
    if (unlikely(cache->tick != decay_period())) {
        atomic_store_explicit(&cache->active, decay_period(), RELAXED);
        trim(cache);
    }
}

COLD void *cache_refill(unsigned cls) {
    struct cache *cache = cache_self;
    if (unlikely(cache == &cache_none || cache == &cache_gone)) {
        if (!adopt()) {
            decay_run_if_due();
            void *block;
            return central_take(cls, &block, 1) == 1 ? block : NULL;
        }
        cache = cache_self;
    }
    slow_event(cache, cls);
    lock_bump(&cache->refills[cls], 1);
    cache->drawn[cls] = 1;
    grow(cache, cls);
    /* Half of the room, so that frees find room too. */
    size_t want = (room_of(cache, cls) + 1) / 2;
    if (want == 0) {
        want = 1;
    }
    void *batch[256];
    unsigned got = central_take(cls, batch, (unsigned)(want < 256 ? want : 256));
    if (got == 0) {
        return NULL;
    }
    /* Reversed, so that the first taken are the first out: neighbours in memory, in order. */
    struct bin *bin = &cache->bin[cls];
    bin_open(bin);
    void **top = bin_top(bin);
    for (unsigned i = got; i > 1; i--) {
        *top++ = batch[i - 1];
    }
    bin_set_top(bin, top);
    bin_close(bin);
    return batch[0];
}

/* Blocks that a thread may keep of a class it only frees: a batch or two, for somebody else needs
 * them. */
static size_t one_way_room(unsigned cls) {
    size_t fit = ONE_WAY_BYTES / sizeclass[cls].size, most = 2 * (size_t)sizeclass[cls].batch;
    return fit < most ? fit : most;
}

COLD void cache_flush(unsigned cls, void *block) {
    struct cache *cache = cache_self;
    if (unlikely(cache == &cache_none || cache == &cache_gone)) {
        if (!adopt()) {
            decay_run_if_due();
            central_give(cls, &block, 1);
            return;
        }
        cache = cache_self;
    }
    struct bin *bin = &cache->bin[cls];
    if (unlikely(bin->head == block)) {
        os_die("free(): double free", block);
    }
    slow_event(cache, cls);
    lock_bump(&cache->flushes[cls], 1);
    if (cache->drawn[cls] != 0 || room_of(cache, cls) < one_way_room(cls)) {
        grow(cache, cls);
    }
    if (bin_top(bin) == bin->end) {
        if (room_of(cache, cls) == 0) {
            central_give(cls, &block, 1);
            return;
        }
        spill(cache, cls, room_of(cache, cls) / 2);
    }
    bin_push(bin, block);
}

void cache_drain(void) {
    struct cache *cache = cache_self;
    if (cache != &cache_none && cache != &cache_gone) {
        empty(cache);
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
    cache_self = &cache_gone;
    empty(cache);
    /* Not below 1, whoever else counts or ends meanwhile. */
    uint32_t active = atomic_load_explicit(&active_count, RELAXED);
    while (active > 1 && !atomic_compare_exchange_weak_explicit(&active_count, &active, active - 1,
                                                                RELAXED, RELAXED)) {
    }
    lock_acquire(&lock);
    shelve(cache);
    lock_release(&lock);
}

void cache_count_active(void) {
    uint32_t active = 0, now = decay_period();
    lock_acquire(&lock);
    for (struct cache *cache = all; cache != NULL; cache = cache->next) {
        active += cache->used && now - atomic_load_explicit(&cache->active, RELAXED) <= 1;
    }
    lock_release(&lock);
    atomic_store_explicit(&active_count, active != 0 ? active : 1, RELAXED);
}

void cache_after_fork(void) {
    /* The other threads ran on while the kernel copied page after page, so their caches and slots
     * may be of different moments: a block could stand in two of them. They are given up, as
     * glibc gives up its own; at most config.budget bytes, and only in the child. */
    struct cache *self = cache_self;
    bool own = self != &cache_none && self != &cache_gone;
    all = own ? self : NULL;
    unused = NULL;
    if (own) {
        self->next = NULL;
    }
    atomic_store_explicit(&rooms, own ? self->reported_bytes : 0, RELAXED);
    atomic_store_explicit(&active_count, 1, RELAXED);
}

void cache_stats(struct cache_stats *out) {
    memset(out, 0, sizeof *out);
    lock_acquire(&lock);
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
    lock_release(&lock);
    out->leaked += atomic_load_explicit(&cache_none.leaked, RELAXED) +
                   atomic_load_explicit(&cache_gone.leaked, RELAXED);
    out->active = atomic_load_explicit(&active_count, RELAXED);
    size_t active = out->active != 0 ? out->active : 1;
    out->share = config.budget / active > SHARE_LEAST ? config.budget / active : SHARE_LEAST;
}
