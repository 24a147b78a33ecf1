/* span: a run of granules with one purpose, and its descriptor.
 *
 * Descriptors lie in a table beside the page map, one for each granule, so that neither free nor
 * the page heap touches the memory they describe. A span's descriptor is that of its first granule;
 * the others only say how far back that is.
 *
 * A span cut into blocks keeps one bit a block, set while the block is in the span (neither handed
 * out nor in a store): free == popcount(bits). Up to 64 blocks in the descriptor, more in a table
 * of bitmaps beside it, where those of eight short spans share a page. The class's span lock
 * protects it; the page heap's lock protects a free span.
 */
#ifndef HAK_SPAN_H
#define HAK_SPAN_H

#include "base.h"
#include "sizeclass.h"

enum span_state {
    SPAN_USED,  /* also the sentinels' */
    SPAN_DIRTY, /* free, some of its granules hold memory */
    SPAN_CLEAN, /* free, usable, reads as zero */
    SPAN_RAW,   /* free, not mapped */
};

/* What a run is for, and so whether huge pages suit it. Address space once claimed for one kind
 * stays of that kind, so that neither is scattered over the other. */
enum run_kind {
    RUN_SPARSE, /* long blocks, of which a program may touch little */
    RUN_DENSE,  /* short blocks, side by side: every page is touched soon */
    RUN_KINDS
};

struct __attribute__((aligned(CACHE_LINE))) span {
    uintptr_t start;
    uint32_t granules;
    uint32_t back; /* granules back to the span's first; only while used */
    struct span *next, *prev;
    union {
        struct { /* used, cut into blocks */
            union {
                uint64_t bits;   /* of at most 64 blocks */
                uint64_t *words; /* of more */
            };
            uint16_t free;
            uint16_t hint; /* no word below this one has a bit set */
            bool purged;   /* its free pages, since when no block came back */
        };
        struct { /* dirty: in order of age */
            struct span *older, *newer;
        };
    };
    uint64_t freed_at_ms; /* when it became free; cut into blocks, when it last got some back */
    /* Free: its granules that hold memory. Cut into blocks: its pages that may, at most. */
    uint32_t held;
    /* These two under PAGES, by whoever has a neighbour; the others by the span's owner. Side by
     * side, as a compiler may read both at once and all that lies between them. */
    uint8_t state;  /* enum span_state */
    uint8_t kind;   /* enum run_kind */
    uint8_t cls;    /* while used: its class, or CLASS_RUN */
    uint8_t listed; /* which of its class's lists of spans it is in, or 0 */
};

_Static_assert(sizeof(struct span) == CACHE_LINE, "one cache line a descriptor");

/* Words of the longest bitmap: a span of one granule cut into blocks of 16 bytes. */
#define SPAN_WORDS (GRANULE / 16 / 64)

/* Cuts a used span into blocks of its class, all of them free. Touches its bitmap, not the span. */
void span_cut(struct span *span, unsigned cls);

/* Pages of a span. */
static inline uint32_t span_pages(const struct span *span) {
    return span->granules * (uint32_t)(GRANULE / PAGE);
}

/* Into about how many of them its blocks that are out reach, if those are any of its blocks. */
uint32_t span_pages_needed(const struct span *span);

/* Takes up to n free blocks, lowest addresses first; returns how many. */
unsigned span_take(struct span *span, void **out, unsigned n);

/* Puts back the first of `blocks`, which lies in the span, and those that follow it as long as they
 * do too; returns how many. Fewer, and 0 if it is the first, if one is not the start of a block or
 * is free already: the caller's caller freed it twice or freed something else. */
unsigned span_put(struct span *span, void *const *blocks, unsigned n);

/* The next whole pages that lie under free blocks alone, and behind the last, as offsets from the
 * span's start: looked for from *from on; false if there are none. */
bool span_free_pages(struct span *span, size_t *from, size_t *to);

/* The start of the block that holds `address`. */
void *span_block_of(const struct span *span, const void *address);

#endif
