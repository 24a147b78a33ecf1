#include "pages/mapping.h"
#include "base/lock.h"
#include "base/os.h"

static struct lock lock; /* HUGE */
static struct mapping *unused;
static struct mapping *fresh; /* of the newest piece, those that never were in use */
static size_t fresh_count;
static _Atomic uint64_t bytes_mapped;

#define PIECE (64 * KIB)

void mapping_init(void) {
    lock_init(&lock, "huge", RANK_HUGE);
}

/* One that is at hand, or NULL. Requires the lock. */
static struct mapping *at_hand(void) {
    struct mapping *mapping = unused;
    if (mapping != NULL) {
        unused = mapping->next;
    } else if (fresh_count > 0) {
        mapping = &fresh[--fresh_count];
    }
    return mapping;
}

struct mapping *mapping_take(void) {
    lock_acquire(&lock);
    struct mapping *mapping = at_hand();
    lock_release(&lock);
    if (mapping != NULL) {
        return mapping;
    }
    struct mapping *more = os_map(PIECE, PAGE);
    lock_acquire(&lock);
    mapping = at_hand();
    if (mapping == NULL && more != NULL) {
        fresh = more;
        fresh_count = PIECE / sizeof *more;
        mapping = at_hand();
        more = NULL;
    }
    lock_release(&lock);
    if (more != NULL) {
        os_unmap(more, PIECE); /* another thread has mapped some meanwhile */
    }
    return mapping;
}

void mapping_give(struct mapping *mapping) {
    lock_acquire(&lock);
    mapping->next = unused;
    unused = mapping;
    lock_release(&lock);
}

void mapping_count_bytes(size_t change) {
    atomic_fetch_add_explicit(&bytes_mapped, change, memory_order_relaxed);
}

uint64_t mapping_bytes(void) {
    return atomic_load_explicit(&bytes_mapped, memory_order_relaxed);
}

void mapping_forget(void) {
    unused = NULL;
    fresh_count = 0; /* it and `fresh` may be of two moments */
}
