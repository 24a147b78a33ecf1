#include "span.h"

#include <string.h>

void span_cut(struct span *span, unsigned cls) {
    const struct sizeclass *class = &sizeclass[cls];
    span->cls = (uint8_t)cls;
    span->free = class->blocks;
    span->hint = 0;
    span->listed = 0;
    uint64_t *words = span_words(span, class);
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
    uint64_t *words = span_words(span, class);
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

void *span_block_of(const struct span *span, const void *address) {
    size_t offset = (uintptr_t)address - span->start;
    return (void *)(span->start + offset - offset % sizeclass[span->cls].size);
}
