/* sizeclass: which block size serves a request. A table for every size up to SMALL_MAX, a formula
 * beyond.
 *
 *   tiny   16 B - 1 KiB    steps of 16 to 128, then four a doubling
 *   mid    1 - 32 KiB      eight a doubling to 8 KiB (4.2 % mean waste), then four
 *   large  32 KiB - 1 MiB  four a doubling (the Pool to 64 KiB, L2.5 above)
 *
 * A class number is also what the page map holds for the granules of that class's spans; numbers
 * from CLASS_COUNT up to CLASS_LIMIT mean other things there. Immutable.
 */
#ifndef HAK_SIZECLASS_H
#define HAK_SIZECLASS_H

#include "base/base.h"

#define TINY_MAX ((size_t)1024)
#define SMALL_MAX ((size_t)32768)
#define POOL_MAX ((size_t)65536)
#define LARGE_MAX ((size_t)1 << 20)

enum {
    CLASS_NONE = 0, /* no block of ours begins here */
    CLASS_FIRST = 1,
    CLASS_TINY_LAST = 20,
    CLASS_MID_LAST = 52,
    CLASS_POOL_LAST = 56,
    CLASS_LAST = 72,
    CLASS_COUNT = 73,
    CLASS_RUN = 73,    /* first granule of a page run that is one block */
    CLASS_ROUTED = 74, /* ask the route (registry ladder, checked mode) */
    CLASS_AWAY = 75,   /* of a free run that was unmapped: what is here now is not ours */
    CLASS_HELD = 76,   /* a granule of a free run that holds memory */
    CLASS_LIMIT = 80
};

struct sizeclass {
    uint32_t size;     /* bytes of a block */
    uint16_t granules; /* of a span */
    uint16_t blocks;   /* in a span */
    uint16_t batch;    /* blocks moved at once between a thread and the central store */
    uint16_t slots;    /* most blocks one thread may cache */
    uint32_t inverse;  /* 2^32 / size, rounded up: (k * size * inverse) >> 32 is k in every span */
};

extern struct sizeclass sizeclass[CLASS_LIMIT];
extern uint8_t sizeclass_table[SMALL_MAX / 16 + 1];

/* Fills both tables. Call once, before any other function. */
void sizeclass_init(void);

/* Bytes of a block of the index-th class, from CLASS_FIRST on. */
unsigned sizeclass_size_of(int index);

/* Class of a request of at most SMALL_MAX bytes. */
static inline unsigned sizeclass_small(size_t size) {
    return sizeclass_table[(size + 15) >> 4];
}

/* Class of a request of SMALL_MAX < size <= LARGE_MAX: four steps in each doubling. */
static inline unsigned sizeclass_large(size_t size) {
    unsigned doubling = 63 - (unsigned)__builtin_clzll(size - 1); /* 15 for (32 KiB, 64 KiB] */
    return CLASS_MID_LAST + 1 + (doubling - 15) * 4 + (unsigned)((size - 1) >> (doubling - 2)) - 4;
}

/* The smallest class whose blocks hold `size` and all begin at multiples of `alignment` (a power of
 * two up to GRANULE); CLASS_NONE if there is none. */
unsigned sizeclass_aligned(size_t size, size_t alignment);

static inline bool class_is_tiny(unsigned cls) {
    return cls <= CLASS_TINY_LAST;
}
static inline bool class_is_mid(unsigned cls) {
    return cls > CLASS_TINY_LAST && cls <= CLASS_MID_LAST;
}
static inline bool class_is_block(unsigned cls) {
    return cls >= CLASS_FIRST && cls < CLASS_COUNT;
}

/* Of blocks longer than this nothing is kept that was not asked for SIZECLASS_KEEP_AFTER times in a
 * decay period: as a free run they serve every class. */
#define SIZECLASS_KEEP_ABOVE (64 * KIB)
#define SIZECLASS_KEEP_AFTER 4

#endif
