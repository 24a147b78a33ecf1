#include "face/block.h"
#include "base/say.h"
#include "boxes/elo.h"
#include "boxes/guard.h"
#include "boxes/huge.h"
#include "boxes/large.h"
#include "face/route.h"
#include "face/trim.h"
#include "pages/pagemap.h"
#include "stores/cache.h"

#include <string.h>

static void *take(size_t size, size_t alignment, bool *zero) {
    bool wanted = *zero;
    *zero = false;
    /* An alignment beyond the threshold would have a run of that length cut out of the heap. */
    if (size <= elo_threshold() && alignment <= elo_threshold()) {
        unsigned cls = sizeclass_aligned(size, alignment);
        if (cls != CLASS_NONE) {
            return cache_pop(cls);
        }
        void *run = large_take(size, alignment, zero);
        if (run != NULL) {
            return run;
        }
    }
    *zero = wanted;
    return huge_take(size, alignment, zero);
}

void *block_take(size_t size, size_t alignment, bool *zero) {
    if (unlikely(size > PTRDIFF_MAX || alignment > PTRDIFF_MAX)) {
        return NULL;
    }
    elo_note(size);
    bool wanted = *zero;
    void *block = take(size, alignment, zero);
    if (unlikely(block == NULL) && trim_relieve() != 0) {
        *zero = wanted;
        block = take(size, alignment, zero);
    }
    return block;
}

void block_give(void *block) {
    unsigned cls = pagemap_class(block);
    if (class_is_block(cls)) {
        cache_push(cls, block);
    } else if (cls == CLASS_ROUTED) {
        route_free(block);
    } else if (cls == CLASS_RUN) {
        large_free(block);
    } else if (!huge_free(block)) {
        if (pagemap_owns(block)) {
            say_die("free(): invalid pointer", block);
        }
        guard_free(block);
    }
}

/* The class of a block that has one, through whatever the page map says; else CLASS_NONE. */
static unsigned class_of_block(const void *block, unsigned byte) {
    return byte == CLASS_ROUTED   ? pagemap_span(block)->cls
           : class_is_block(byte) ? byte
                                  : CLASS_NONE;
}

size_t block_usable(const void *block) {
    unsigned byte = pagemap_class(block), cls = class_of_block(block, byte);
    if (cls != CLASS_NONE) {
        return sizeclass[cls].size;
    }
    if (byte == CLASS_RUN) {
        return large_usable(block);
    }
    size_t bytes = huge_usable(block);
    return bytes != 0 ? bytes : guard_usable_size(block);
}

/* A run that cannot grow where it is becomes a mapping: copied once, and from then on its pages
 * move, however often it grows. */
static void *to_mapping(void *run, size_t old, size_t size) {
    bool zero = false;
    void *block = huge_take(size, ALIGN_LEAST, &zero);
    if (block != NULL) {
        memcpy(block, run, old);
        large_free(run);
    }
    return block;
}

void *block_resize(void *block, size_t old, size_t size) {
    unsigned byte = pagemap_class(block);
    if (class_of_block(block, byte) != CLASS_NONE) {
        /* Stay while at least half is used, or there is little to win. */
        return size <= old && (size >= old / 2 || old <= 128) ? block : NULL;
    }
    if (size <= LARGE_MAX / 2) {
        return NULL;
    }
    if (byte == CLASS_RUN) {
        if (large_resize(block, size)) {
            return block;
        }
        return size > old ? to_mapping(block, old, size) : NULL;
    }
    bool known;
    void *same = huge_resize(block, size, &known);
    if (unlikely(same == NULL) && known && trim_relieve() != 0) {
        same = huge_resize(block, size, &known);
    }
    return same;
}
