#include "base/sizeclass.h"

struct sizeclass sizeclass[CLASS_LIMIT];
uint8_t sizeclass_table[SMALL_MAX / 16 + 1];

/* Bytes one thread caches of a class at most, and bytes moved in one batch: larger ones would only
 * strand memory, since a refill costs some 50 ns whatever its size. Of tiny blocks, many of which
 * are made for each one longer, twice as much. */
#define CACHE_BYTES ((size_t)128 * KIB)
#define BATCH_BYTES ((size_t)32 * KIB)

static size_t clamp(size_t n, size_t low, size_t high) {
    return n < low ? low : n > high ? high : n;
}

/* The shortest span that wastes at most 1/32 of itself (large: 1/16) and, up to SMALL_MAX, holds at
 * least 8 blocks; at most 16 granules. */
static void lay_out(struct sizeclass *class) {
    size_t allowed = class->size > SMALL_MAX ? 16 : 32;
    size_t least = class->size > SMALL_MAX ? 1 : 8;
    for (size_t granules = 1;; granules++) {
        size_t bytes = granules * GRANULE, blocks = bytes / class->size;
        size_t waste = bytes - blocks * class->size;
        if (blocks >= least && (waste * allowed <= bytes || granules == 16)) {
            class->granules = (uint16_t)granules;
            class->blocks = (uint16_t)blocks;
            return;
        }
    }
}

static size_t next_size(size_t size) {
    if (size < 128) {
        return size + 16;
    }
    size_t doubling = (size_t)1 << (63 - __builtin_clzll(size));
    return size + doubling / (size >= TINY_MAX && size < 8 * KIB ? 8 : 4);
}

void sizeclass_init(void) {
    size_t size = 16, filled = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++, size = next_size(size)) {
        struct sizeclass *class = &sizeclass[cls];
        class->size = (uint32_t)size;
        class->inverse = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
        bool small = size <= SMALL_MAX;
        class->slots = (uint16_t)clamp((size <= TINY_MAX ? 2 : 1) * CACHE_BYTES / size,
                                       small              ? 32
                                       : size > 256 * KIB ? 2
                                                          : 4,
                                       4096);
        class->batch = (uint16_t)clamp(BATCH_BYTES / size, small ? 4 : 1, 64);
        if (class->batch > class->slots / 2) {
            class->batch = class->slots / 2;
        }
        lay_out(class);
        for (; size <= SMALL_MAX && filled <= size / 16; filled++) {
            sizeclass_table[filled] = (uint8_t)cls;
        }
    }
}

unsigned sizeclass_size_of(int index) {
    return sizeclass[CLASS_FIRST + index].size;
}

unsigned sizeclass_aligned(size_t size, size_t alignment) {
    if (size < alignment) {
        size = alignment;
    }
    if (alignment > GRANULE || size > LARGE_MAX) {
        return CLASS_NONE;
    }
    unsigned cls = size <= SMALL_MAX ? sizeclass_small(size) : sizeclass_large(size);
    while (cls < CLASS_COUNT && (sizeclass[cls].size & (alignment - 1)) != 0) {
        cls++;
    }
    return cls < CLASS_COUNT ? cls : CLASS_NONE;
}
