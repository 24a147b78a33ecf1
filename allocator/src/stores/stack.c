#include "stores/stack.h"
#include "base/os.h"
#include "base/say.h"
#include "stores/shelf.h"

#include <string.h>

/* Where each bin's stacks begin among the short and the long ones, in slots. Each has one slot more
 * than blocks, for the NULL under the first. */
static uint16_t short_at[CLASS_COUNT];
static uint32_t long_at[CLASS_COUNT];
static size_t long_bytes;

void stack_init(void) {
    size_t short_slots = 0, long_slots = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        short_at[cls] = (uint16_t)short_slots + 1;
        long_at[cls] = (uint32_t)long_slots + 1;
        short_slots += bin_early(cls) + 1;
        long_slots += sizeclass[cls].slots + 1u;
    }
    long_bytes = align_up(long_slots * sizeof(void *), PAGE);
    if (sizeof(struct cache) + short_slots * sizeof(void *) > SHELF_PLACE) {
        say_die("a cache is larger than its place", NULL);
    }
}

void **stack_origin(struct cache *cache, unsigned cls) {
    return cache->wide[cls] ? cache->long_stacks + long_at[cls]
                            : cache->short_stacks + short_at[cls];
}

void stack_restore(struct cache *cache, unsigned cls) {
    struct bin *bin = &cache->bin[cls];
    void **base = cache->base[cls], **to = stack_origin(cache, cls);
    if (base != to) {
        ptrdiff_t above = bin_top(bin) - base;
        if (above > 0) {
            memmove(to, base, (size_t)above * sizeof *base);
        }
        cache->base[cls] = to;
        bin_set_top(bin, to + above);
    }
}

/* The long stack for the short one, or back. CACHES, as the statistics read a stack's both ends. */
static void exchange(struct cache *cache, unsigned cls) {
    struct bin *bin = &cache->bin[cls];
    ptrdiff_t end = bin->end - cache->base[cls];
    lock_acquire(&cache_lock);
    cache->wide[cls] = !cache->wide[cls];
    stack_restore(cache, cls);
    lock_release(&cache_lock);
    bin->end = cache->base[cls] + end;
}

bool stack_widen(struct cache *cache, unsigned cls) {
    if (cache->long_stacks == NULL) {
        cache->long_stacks = os_map(long_bytes, PAGE);
    }
    if (cache->long_stacks != NULL) {
        exchange(cache, cls);
    }
    return cache->wide[cls];
}

void stack_narrow(struct cache *cache) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        if (cache->wide[cls]) {
            exchange(cache, cls);
        }
    }
    if (cache->long_stacks != NULL) {
        os_purge(cache->long_stacks, long_bytes);
    }
}

size_t stack_end(void **long_stacks) {
    bool ended = long_stacks != NULL &&
                 (os_unmap(long_stacks, long_bytes) || os_purge(long_stacks, long_bytes));
    return ended ? long_bytes : 0;
}
