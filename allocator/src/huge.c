#include "huge.h"
#include "bigcache.h"
#include "dirty.h"
#include "lock.h"
#include "os.h"
#include "regret.h"
#include "superreg.h"

static struct lock lock; /* HUGE: all notes */
static struct mapping *unused_notes;
static struct mapping *fresh_notes; /* of the newest piece, those that never were in use */
static size_t fresh;
static _Atomic uint64_t allocations, frees, bytes_mapped;

#define NOTES_BYTES (64 * KIB)

void huge_init(void) {
    lock_init(&lock, "huge", RANK_HUGE);
}

/* One that is at hand, or NULL. Requires the lock. */
static struct mapping *note_at_hand(void) {
    struct mapping *note = unused_notes;
    if (note != NULL) {
        unused_notes = note->next;
    } else if (fresh > 0) {
        note = &fresh_notes[--fresh];
    }
    return note;
}

/* A descriptor of a mapping, from a list that grows by whole pages and never shrinks. */
static struct mapping *note_take(void) {
    lock_acquire(&lock);
    struct mapping *note = note_at_hand();
    lock_release(&lock);
    if (note != NULL) {
        return note;
    }
    struct mapping *more = os_map(NOTES_BYTES, PAGE);
    lock_acquire(&lock);
    note = note_at_hand();
    if (note == NULL && more != NULL) {
        fresh_notes = more;
        fresh = NOTES_BYTES / sizeof *more;
        note = note_at_hand();
        more = NULL;
    }
    lock_release(&lock);
    if (more != NULL) {
        os_unmap(more, NOTES_BYTES); /* another thread has mapped some meanwhile */
    }
    return note;
}

static void note_give(struct mapping *note) {
    lock_acquire(&lock);
    note->next = unused_notes;
    unused_notes = note;
    lock_release(&lock);
}

void *huge_take(size_t size, size_t alignment, bool *zero) {
    size_t bytes = bigcache_round(size != 0 ? size : 1);
    if (bytes < size || bytes > PTRDIFF_MAX) {
        return NULL;
    }
    struct mapping *note = note_take();
    if (note == NULL) {
        return NULL;
    }
    void *block = *zero ? NULL : bigcache_take(bytes, alignment, &bytes);
    *zero = block == NULL;
    if (block == NULL) {
        block = os_map(bytes, alignment < PAGE ? PAGE : alignment);
        regret_missed(bytes);
        dirty_bound();
    }
    if (block == NULL) {
        note_give(note);
        return NULL;
    }
    *note = (struct mapping){.address = (uintptr_t)block, .bytes = bytes};
    superreg_add(note);
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&bytes_mapped, bytes, memory_order_relaxed);
    return block;
}

bool huge_free(void *block) {
    struct mapping *note = superreg_find(block);
    if (note == NULL) {
        return false;
    }
    size_t bytes = note->bytes;
    superreg_remove(note);
    note_give(note);
    atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&bytes_mapped, bytes, memory_order_relaxed);
    bigcache_give(block, bytes);
    dirty_bound();
    return true;
}

void *huge_resize(void *block, size_t size, bool *known) {
    struct mapping *note = superreg_find(block);
    *known = note != NULL;
    if (note == NULL) {
        return NULL;
    }
    size_t bytes = bigcache_round(size);
    if (bytes < size || bytes > PTRDIFF_MAX) {
        return NULL;
    }
    if (bytes == note->bytes) {
        return block;
    }
    /* Out of the registry first: as soon as the pages have moved, another thread may be given the
     * old address. */
    size_t old_bytes = note->bytes;
    superreg_remove(note);
    void *moved = os_remap(block, old_bytes, bytes);
    if (moved != NULL) {
        note->address = (uintptr_t)moved;
        note->bytes = bytes;
        atomic_fetch_add_explicit(&bytes_mapped, bytes - old_bytes, memory_order_relaxed);
    }
    superreg_add(note);
    return moved;
}

size_t huge_usable(const void *block) {
    struct mapping *note = superreg_find(block);
    return note != NULL ? note->bytes : 0;
}

void huge_forget(void) {
    unused_notes = NULL;
    fresh = 0; /* it and fresh_notes may be of two moments */
}

uint64_t huge_bytes(void) {
    return atomic_load_explicit(&bytes_mapped, memory_order_relaxed);
}

void huge_stats(struct huge_stats *out) {
    *out = (struct huge_stats){
        .allocations = atomic_load_explicit(&allocations, memory_order_relaxed),
        .frees = atomic_load_explicit(&frees, memory_order_relaxed),
        .bytes = huge_bytes(),
    };
}
