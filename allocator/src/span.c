#include "span.h"

#include <string.h>

static uint64_t *words_of(struct span *span) {
    const struct sizeclass *class = &sizeclass[span->cls];
    if (class->bitmap == 0) {
        return &span->bits;
    }
    return (uint64_t *)(span->start + span->granules * GRANULE - class->bitmap);
}

void span_cut(struct span *span, unsigned cls) {
    const struct sizeclass *class = &sizeclass[cls];
    span->cls = (uint8_t)cls;
    span->free = class->blocks;
    span->hint = 0;
    span->listed = 0;
    uint64_t *words = words_of(span);
    unsigned blocks = class->blocks;
    while (blocks >= 64) {
        *words++ = ~(uint64_t)0;
        blocks -= 64;
    }
    if (blocks > 0) {
        *words = ((uint64_t)1 << blocks) - 1;
    }
}

unsigned span_take(struct span *span, void **out, unsigned n) {
    const struct sizeclass *class = &sizeclass[span->cls];
    uint64_t *words = words_of(span);
    unsigned word = span->hint, taken = 0;
    n = n < span->free ? n : span->free;
    while (taken < n) {
        if (words[word] == 0) {
            word++;
            continue;
        }
        unsigned bit = (unsigned)__builtin_ctzll(words[word]);
        words[word] &= words[word] - 1;
        out[taken++] = (void *)(span->start + (size_t)(word * 64 + bit) * class->size);
    }
    span->hint = (uint16_t)word;
    span->free = (uint16_t)(span->free - taken);
    return taken;
}

unsigned span_put(struct span *span, void *const *blocks, unsigned n) {
    const struct sizeclass *class = &sizeclass[span->cls];
    uint64_t *words = words_of(span);
    uintptr_t start = span->start;
    uint32_t size = class->size, count = class->blocks, inverse = class->inverse;
    unsigned put = 0, lowest = span->hint;
    for (; put < n; put++) {
        uintptr_t offset = (uintptr_t)blocks[put] - start;
        uint64_t index = offset >> 32 == 0 ? (offset * inverse) >> 32 : count;
        uint64_t bit = (uint64_t)1 << (index % 64);
        if (index * size != offset || index >= count || words[index / 64] & bit) {
            break;
        }
        words[index / 64] |= bit;
        lowest = index / 64 < lowest ? (unsigned)(index / 64) : lowest;
    }
    span->hint = (uint16_t)lowest;
    span->free = (uint16_t)(span->free + put);
    return put;
}

void *span_block_of(const struct span *span, const void *address) {
    size_t offset = (uintptr_t)address - span->start;
    return (void *)(span->start + offset - offset % sizeclass[span->cls].size);
}
