/* pagemap: from any address to its size class, or to its span, without touching the block.
 *
 * A range is a stretch of addresses that runs are cut from; a byte for each granule of it says
 * which class lives there. Where (p - base) is below the range's bytes a pointer's class is one
 * load; if it says there is none, the slow path asks whose the pointer is.
 *
 * No address space is reserved. The first range is a window of some hundred GiB, chosen far below
 * the place where the system puts other mappings; its map, its descriptors and its data are mapped
 * from their beginnings on, piece by piece, so that the process is never larger than what it uses.
 * If something else comes to lie in the window's way, or nothing may lie where we choose, further
 * ranges are added; they are found by the slow path only.
 *
 * The bytes are written by whoever owns the span, before its first block is handed out and after
 * its last has come back, so no lock protects them: whoever holds a block may read its byte.
 *
 * Lock: GROWTH protects what grows. The readers' `bytes` and `frontier` only ever become larger.
 */
#ifndef HAK_PAGEMAP_H
#define HAK_PAGEMAP_H

#include "base/os.h"
#include "pages/descriptor.h"

#include <stdatomic.h>

#define RANGES_MAX 64

/* No address is so little above this that it lies in a range. */
#define FAST_CLOSED ((uintptr_t)1 << 63)

/* Bitmaps of so many granules lie together: those of most classes in one page, apart from the four
 * times as long ones that few need, so that they are as dense in memory as they can be. */
#define BITMAPS 32
struct bitmaps {
    uint64_t few[BITMAPS][SPAN_WORDS_FEW];
    uint64_t many[BITMAPS][SPAN_WORDS];
};

struct range {
    uintptr_t fast_base;  /* base, or FAST_CLOSED: where free takes its fast path from (fast.h) */
    _Atomic size_t bytes; /* from base, whose map bytes can be read; 0: no such range */
    uint8_t *class_of;    /* [granules] */
    uintptr_t base;       /* of the data; aligned to GRANULE */
    struct span *spans;   /* [granules]; spans[-1] and spans[granules] are never free */
    struct bitmaps *bits; /* [granules / BITMAPS, rounded up] */
    _Atomic size_t frontier; /* bytes from base ever given to the page heap */
    size_t forgotten;        /* of these, what lies before a start afresh (fork.h) */
    size_t ready;            /* bytes from base ever mapped, >= frontier */
    size_t limit;            /* bytes from base there is place for, >= ready */
    size_t spans_ready;      /* bytes from spans[-1] mapped: up to spans[frontier's] at least */
    size_t bits_ready;       /* bytes from bits mapped: up to the frontier's at least */
};

extern HIDDEN struct range ranges[RANGES_MAX];
extern _Atomic int range_count;

/* The first range, alone on the fast path. */
#define pagemap (ranges[0])

/* Adds a range with place for at least `bytes`; false if the system refuses. Requires GROWTH. */
bool pagemap_add_range(size_t bytes);

/* Moves the frontier on by `bytes` (at most what is left of the limit); what it passes is usable,
 * zero, and has descriptors, as has the granule at the new frontier. If that is not done, nothing
 * has happened. Requires GROWTH. */
enum os_answer pagemap_extend(struct range *range, size_t bytes);

static inline size_t range_bytes(const struct range *range) {
    return atomic_load_explicit(&range->bytes, memory_order_relaxed);
}

static inline size_t range_frontier(const struct range *range) {
    return atomic_load_explicit(&range->frontier, memory_order_relaxed);
}

/* The range an address lies in, or NULL. */
static inline struct range *pagemap_range(const void *address) {
    if (likely((uintptr_t)address - pagemap.base < range_bytes(&pagemap))) {
        return &pagemap;
    }
    int count = atomic_load_explicit(&range_count, memory_order_acquire);
    for (int i = 1; i < count; i++) {
        if ((uintptr_t)address - ranges[i].base < range_bytes(&ranges[i])) {
            return &ranges[i];
        }
    }
    return NULL;
}

/* What the map holds for an address: a class, CLASS_RUN, CLASS_ROUTED, CLASS_AWAY or CLASS_NONE. */
static inline unsigned pagemap_class(const void *address) {
    struct range *range = pagemap_range(address);
    unsigned byte = range == NULL
                        ? CLASS_NONE
                        : range->class_of[((uintptr_t)address - range->base) >> GRANULE_SHIFT];
    return byte == CLASS_HELD ? CLASS_NONE : byte; /* the page heap's own word (runs.h) */
}

/* Whether the address is the page heap's: what lies in a range may also be a stranger's mapping,
 * beyond the frontier, or where a free run was unmapped. */
static inline bool pagemap_owns(const void *address) {
    struct range *range = pagemap_range(address);
    return range != NULL && (uintptr_t)address - range->base < range_frontier(range) &&
           pagemap_class(address) != CLASS_AWAY;
}

/* The span that holds an address whose map byte is neither CLASS_NONE nor CLASS_AWAY. */
static inline struct span *pagemap_span(const void *address) {
    struct range *range = pagemap_range(address);
    struct span *span = &range->spans[((uintptr_t)address - range->base) >> GRANULE_SHIFT];
    return span - span->back;
}

/* True if what lies there is from before a start afresh: usable, but part of no span or run. */
static inline bool pagemap_is_forgotten(const void *address) {
    const struct range *range = pagemap_range(address);
    return (uintptr_t)address - range->base < range->forgotten;
}

/* In a child that starts afresh: all below the frontiers is forgotten. Nobody was given anything
 * beyond; where a thread was about to move one on, what it mapped is in the way, and the range
 * ends.
 */
void pagemap_forget(void);

/* The bitmap of a span of so many blocks that begins at this descriptor. */
uint64_t *pagemap_bits(const struct span *span, unsigned blocks);

/* Gives back the memory of a long run's bitmaps, whose start and granules are all that is looked
 * at; the run is in no list and holds nothing. */
void pagemap_purge_bits(const struct span *run);

/* Sets the bytes of `granules` granules from the span's start. */
void pagemap_set(struct span *span, uint32_t granules, unsigned class_byte);

#endif
