#define _GNU_SOURCE
#include "tables/registry.h"
#include "base/os.h"
#include "base/say.h"
#include "pages/pagemap.h"

#include <string.h>

/* Read by sequence-lock readers while a writer moves entries about, so every field is atomic. A
 * reader that sees anything a writer stored (release, acquire) also sees that the sequence is odd,
 * or has changed, when it looks again; on x86-64 all of these are plain moves. */
struct entry {
    _Atomic uintptr_t start, end;
    _Atomic uintptr_t cls;
};

static struct lock lock;
/* Writers first: glibc's default lets readers that never pause shut a writer out for ever. */
#define RWLOCK_FREE PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
static pthread_rwlock_t rwlock = RWLOCK_FREE;
static struct entry *table;
static size_t capacity;
static _Atomic size_t entries;
static _Atomic uint32_t sequence; /* odd while a writer is at work */
static _Atomic uint64_t retries, growths;

#define RELAXED memory_order_relaxed

void registry_init(void) {
    lock_init(&lock, "registry", RANK_REGISTRY);
    if (config.registry == REGISTRY_FLAT) {
        return;
    }
    capacity = config.registry == REGISTRY_LOCKED ? REGISTRY_FIRST : REGISTRY_CAPACITY;
    table = os_map(align_up(capacity * sizeof *table, PAGE), PAGE);
    if (table == NULL) {
        say_die("no address space for the registry's table", NULL);
    }
}

static uintptr_t get(const _Atomic uintptr_t *field) {
    return atomic_load_explicit(field, memory_order_acquire);
}

static void put(_Atomic uintptr_t *field, uintptr_t value) {
    atomic_store_explicit(field, value, memory_order_release);
}

/* Index of the first entry that begins above `address`. The array may be changing under a
 * sequence-lock reader: the bounds keep it inside, the sequence tells it the result is void. */
static size_t upper_bound(uintptr_t address) {
    size_t low = 0, high = atomic_load_explicit(&entries, memory_order_acquire);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (get(&table[middle].start) <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static unsigned search(uintptr_t address) {
    size_t i = upper_bound(address);
    if (i == 0 || get(&table[i - 1].end) <= address) {
        return CLASS_NONE;
    }
    return (unsigned)get(&table[i - 1].cls);
}

static void move(size_t to, size_t from) {
    put(&table[to].start, get(&table[from].start));
    put(&table[to].end, get(&table[from].end));
    put(&table[to].cls, get(&table[from].cls));
}

/* What a writer holds: the lock, and whatever shuts this rung's readers out. */
static void write_begin(void) {
    lock_acquire(&lock);
    if (config.registry == REGISTRY_PREALLOC_RWLOCK) {
        pthread_rwlock_wrlock(&rwlock);
    } else if (config.registry == REGISTRY_PREALLOC_SEQLOCK) {
        atomic_store_explicit(&sequence, atomic_load_explicit(&sequence, RELAXED) + 1, RELAXED);
    }
}

static void write_end(void) {
    if (config.registry == REGISTRY_PREALLOC_RWLOCK) {
        pthread_rwlock_unlock(&rwlock);
    } else if (config.registry == REGISTRY_PREALLOC_SEQLOCK) {
        atomic_store_explicit(&sequence, atomic_load_explicit(&sequence, RELAXED) + 1,
                              memory_order_release);
    }
    lock_release(&lock);
}

/* The `locked` rung as it was shipped: it maps and copies while everybody waits. */
static bool make_room(void) {
    if (atomic_load_explicit(&entries, RELAXED) < capacity) {
        return true;
    }
    if (config.registry != REGISTRY_LOCKED) {
        return false;
    }
    size_t bytes = align_up(capacity * sizeof *table, PAGE);
    struct entry *larger = os_map(align_up(2 * capacity * sizeof *table, PAGE), PAGE);
    if (larger == NULL) {
        return false;
    }
    memcpy(larger, table, capacity * sizeof *table);
    os_unmap(table, bytes);
    table = larger;
    capacity *= 2;
    lock_bump(&growths, 1);
    return true;
}

bool registry_add(struct span *span, unsigned cls) {
    if (config.registry == REGISTRY_FLAT) {
        return true;
    }
    write_begin();
    bool room = make_room();
    if (room) {
        size_t n = atomic_load_explicit(&entries, RELAXED), at = upper_bound(span->start);
        for (size_t i = n; i > at; i--) {
            move(i, i - 1);
        }
        put(&table[at].start, span->start);
        put(&table[at].end, span->start + span->granules * GRANULE);
        put(&table[at].cls, cls);
        atomic_store_explicit(&entries, n + 1, memory_order_release);
    }
    write_end();
    return room;
}

void registry_remove(struct span *span) {
    if (config.registry == REGISTRY_FLAT) {
        return;
    }
    write_begin();
    size_t n = atomic_load_explicit(&entries, RELAXED), at = upper_bound(span->start);
    if (at > 0 && get(&table[at - 1].start) == span->start) {
        for (size_t i = at; i < n; i++) {
            move(i - 1, i);
        }
        atomic_store_explicit(&entries, n - 1, memory_order_release);
    }
    write_end();
}

unsigned registry_find(const void *address) {
    uintptr_t at = (uintptr_t)address;
    unsigned cls;
    switch (config.registry) {
    case REGISTRY_LOCKED:
    case REGISTRY_PREALLOC_LOCKED:
        lock_acquire(&lock);
        cls = search(at);
        lock_release(&lock);
        return cls;
    case REGISTRY_PREALLOC_RWLOCK:
        pthread_rwlock_rdlock(&rwlock);
        cls = search(at);
        pthread_rwlock_unlock(&rwlock);
        return cls;
    case REGISTRY_PREALLOC_SEQLOCK:
        for (unsigned tries = 0;; tries++) {
            uint32_t before = atomic_load_explicit(&sequence, memory_order_acquire);
            if ((before & 1) == 0) {
                cls = search(at);
                if (atomic_load_explicit(&sequence, RELAXED) == before) {
                    return cls;
                }
            }
            atomic_fetch_add_explicit(&retries, 1, RELAXED);
            if (tries > 64) {
                /* The writer may not be running: wait for it asleep, not spinning. */
                lock_acquire(&lock);
                cls = search(at);
                lock_release(&lock);
                return cls;
            }
        }
    default: {
        unsigned byte = pagemap_class(address);
        return byte == CLASS_ROUTED ? pagemap_span(address)->cls : byte;
    }
    }
}

void registry_stats(struct registry_stats *out) {
    *out = (struct registry_stats){
        .entries = atomic_load_explicit(&entries, RELAXED),
        .retries = atomic_load_explicit(&retries, RELAXED),
        .growths = atomic_load_explicit(&growths, RELAXED),
    };
}

void registry_forget(void) {
    registry_after_fork();
#ifndef HAK_FIXED
    config.registry = REGISTRY_FLAT;
    config.route = ROUTE_DIRECT;
#endif
}

void registry_after_fork(void) {
    rwlock = (pthread_rwlock_t)RWLOCK_FREE;
    if ((atomic_load_explicit(&sequence, RELAXED) & 1) != 0) {
        atomic_fetch_add_explicit(&sequence, 1, RELAXED);
    }
}
