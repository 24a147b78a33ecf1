/* pagemap: from any address to its size class, or to its span, without touching the block.
 *
 * One large range of addresses is reserved at the start; a byte for each granule of it says which
 * class lives there. A pointer is ours if (p - base) is below the range's size, and then its class
 * is one load. If that reservation was cut short (RLIMIT_AS, strict overcommit), further ranges are
 * added; they are found by the slow path only.
 *
 * The bytes are written by whoever owns the span, before its first block is handed out and after
 * its last has come back, so no lock protects them: whoever holds a block may read its byte.
 */
#ifndef HAK_PAGEMAP_H
#define HAK_PAGEMAP_H

#include "span.h"

#include <stdatomic.h>

#define RANGES_MAX 64

struct range {
    uintptr_t base;           /* of the data; aligned to HUGE_PAGE */
    size_t bytes;             /* of data address space; 0: no such range */
    uint8_t *class_of;        /* [granules] */
    struct span *spans;       /* [granules]; spans[-1] and spans[granules] are never free */
    size_t frontier;          /* bytes from base ever claimed; protected by the page heap's lock */
    _Atomic size_t committed; /* bytes of data made usable */
};

extern struct range ranges[RANGES_MAX];
extern _Atomic int range_count;

/* The first range, alone on the fast path. */
#define pagemap (ranges[0])

/* Reserves a further range of at least `bytes`; false if the system refuses. Caller serialises. */
bool pagemap_add_range(size_t bytes);

/* Makes [offset, offset+bytes) of the range usable, with its descriptors. False if refused. */
bool pagemap_commit(struct range *range, size_t offset, size_t bytes);

/* The descriptors alone, so that a run whose memory was refused can at least be noted. */
bool pagemap_commit_spans(struct range *range, size_t offset, size_t bytes);

/* The range an address lies in, or NULL. */
static inline struct range *pagemap_range(const void *address) {
    if (likely((uintptr_t)address - pagemap.base < pagemap.bytes)) {
        return &pagemap;
    }
    int count = atomic_load_explicit(&range_count, memory_order_acquire);
    for (int i = 1; i < count; i++) {
        if ((uintptr_t)address - ranges[i].base < ranges[i].bytes) {
            return &ranges[i];
        }
    }
    return NULL;
}

/* What the map holds for an address: a class, CLASS_RUN, CLASS_ROUTED, or CLASS_NONE. */
static inline unsigned pagemap_class(const void *address) {
    struct range *range = pagemap_range(address);
    unsigned byte = range == NULL
                        ? CLASS_NONE
                        : range->class_of[((uintptr_t)address - range->base) >> GRANULE_SHIFT];
    return byte == CLASS_HELD ? CLASS_NONE : byte; /* the page heap's own word (runs.h) */
}

/* The span that holds an address whose map byte is not CLASS_NONE. */
static inline struct span *pagemap_span(const void *address) {
    struct range *range = pagemap_range(address);
    struct span *span = &range->spans[((uintptr_t)address - range->base) >> GRANULE_SHIFT];
    return span - span->back;
}

/* Sets the bytes of `granules` granules from the span's start. */
void pagemap_set(struct span *span, uint32_t granules, unsigned class_byte);

#endif
