/* descriptor: of a span, which is a run of granules with one purpose.
 *
 * Descriptors lie in a table beside the page map, one for each granule, so that neither free nor
 * the page heap touches the memory they describe. A span's descriptor is that of its first granule;
 * the others only say how far back that is.
 *
 * Of a span cut into blocks the class's span lock protects it; the page heap's lock protects a free
 * span's.
 */
#ifndef HAK_DESCRIPTOR_H
#define HAK_DESCRIPTOR_H

#include "base/sizeclass.h"

enum span_state {
    SPAN_USED,  /* also the sentinels' */
    SPAN_DIRTY, /* free, some of its granules hold memory */
    SPAN_CLEAN, /* free, usable, reads as zero */
    SPAN_RAW,   /* free, not mapped */
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
            bool thinned;  /* its free pages, ever */
        };
        struct { /* dirty: in order of age */
            struct span *older, *newer;
        };
    };
    uint64_t freed_at_ms; /* when it became free; cut into blocks, when it last got some back */
    /* Free: its granules that hold memory. Cut into blocks: its pages that may, at most. */
    uint32_t held;
    /* Under PAGES, by whoever has a neighbour; enum span_state. The others by the span's owner, but
     * `huge`, which is not the span's: see hugepages.c. */
    uint8_t state;
    _Atomic uint8_t huge;
    uint8_t cls;    /* while used: its class, or CLASS_RUN */
    uint8_t listed; /* which of its class's lists of spans it is in, or 0 */
};

_Static_assert(sizeof(struct span) == CACHE_LINE, "one cache line a descriptor");

/* Words of the longest bitmap: a span of one granule cut into blocks of 16 bytes; and of that of
 * every span of blocks of 64 bytes or more. */
#define SPAN_WORDS (GRANULE / 16 / 64)
#define SPAN_WORDS_FEW (GRANULE / 64 / 64)

/* Pages of a span. */
static inline uint32_t span_pages(const struct span *span) {
    return span->granules * (uint32_t)(GRANULE / PAGE);
}

#endif
