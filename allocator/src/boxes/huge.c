#include "boxes/huge.h"
#include "base/os.h"
#include "pages/bigcache.h"
#include "pages/mapping.h"
#include "pages/regret.h"
#include "stores/dirty.h"
#include "tables/superreg.h"

#include <stdatomic.h>

static _Atomic uint64_t allocations, frees;

void *huge_take(size_t size, size_t alignment, bool *zero) {
    size_t bytes = bigcache_round(size != 0 ? size : 1);
    if (bytes < size || bytes > PTRDIFF_MAX) {
        return NULL;
    }
    struct mapping *note = mapping_take();
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
        mapping_give(note);
        return NULL;
    }
    *note = (struct mapping){.address = (uintptr_t)block, .bytes = bytes};
    superreg_add(note);
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    mapping_count_bytes(bytes);
    return block;
}

bool huge_free(void *block) {
    struct mapping *note = superreg_find(block);
    if (note == NULL) {
        return false;
    }
    size_t bytes = note->bytes;
    superreg_remove(note);
    mapping_give(note);
    atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
    mapping_count_bytes(-bytes);
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
        mapping_count_bytes(bytes - old_bytes);
    }
    superreg_add(note);
    return moved;
}

size_t huge_usable(const void *block) {
    struct mapping *note = superreg_find(block);
    return note != NULL ? note->bytes : 0;
}

void huge_stats(struct huge_stats *out) {
    *out = (struct huge_stats){
        .allocations = atomic_load_explicit(&allocations, memory_order_relaxed),
        .frees = atomic_load_explicit(&frees, memory_order_relaxed),
        .bytes = mapping_bytes(),
    };
}
