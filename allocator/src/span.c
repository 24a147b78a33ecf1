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

bool span_put(struct span *span, void *block) {
    const struct sizeclass *class = &sizeclass[span->cls];
    uint32_t offset = (uint32_t)((uintptr_t)block - span->start);
    uint32_t index = offset / class->size;
    uint64_t *words = words_of(span);
    uint64_t bit = (uint64_t)1 << (index % 64);
    if (index * class->size != offset || index >= class->blocks || words[index / 64] & bit) {
        return false;
    }
    words[index / 64] |= bit;
    if (index / 64 < span->hint) {
        span->hint = (uint16_t)(index / 64);
    }
    span->free++;
    return true;
}

void *span_block_of(const struct span *span, const void *address) {
    size_t offset = (uintptr_t)address - span->start;
    return (void *)(span->start + offset - offset % sizeclass[span->cls].size);
}
