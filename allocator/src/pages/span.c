#include "pages/span.h"
#include "pages/pagemap.h"

static uint64_t *words_of(struct span *span, const struct sizeclass *class) {
    return class->blocks <= 64 ? &span->bits : span->words;
}

void span_cut(struct span *span, unsigned cls) {
    const struct sizeclass *class = &sizeclass[cls];
    span->cls = (uint8_t)cls;
    span->free = class->blocks;
    span->held = span_pages(span);
    span->hint = 0;
    span->purged = span->thinned = false;
    span->listed = 0;
    unsigned blocks = class->blocks;
    if (blocks > 64) {
        span->words = pagemap_bits(span, blocks);
    }
    uint64_t *words = words_of(span, class);
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
    uint64_t *words = words_of(span, class);
    unsigned word = span->hint, taken = 0;
    size_t seen = 0, pages = span->held; /* what lies below offset `seen` is counted */
    n = n < span->free ? n : span->free;
    while (taken < n) {
        if (words[word] == 0) {
            word++;
            continue;
        }
        unsigned bit = (unsigned)__builtin_ctzll(words[word]);
        words[word] &= words[word] - 1;
        size_t offset = (size_t)(word * 64 + bit) * class->size, end = offset + class->size;
        out[taken++] = (void *)(span->start + offset);
        if (end > seen) {
            size_t from = offset > seen ? offset & ~(PAGE - 1) : seen;
            seen = align_up(end, PAGE);
            pages += (seen - from) / PAGE;
        }
    }
    span->hint = (uint16_t)word;
    span->free = (uint16_t)(span->free - taken);
    span->held = pages < span_pages(span) ? (uint32_t)pages : span_pages(span);
    return taken;
}

unsigned span_put(struct span *span, void *const *blocks, unsigned n) {
    const struct sizeclass *class = &sizeclass[span->cls];
    uint64_t *words = words_of(span, class);
    uintptr_t start = span->start, length = span->granules * GRANULE;
    uint32_t hint = span->hint, put = 0;
    uint64_t offset = (uintptr_t)blocks[0] - start;
    do {
        uint64_t index = (offset * class->inverse) >> 32, bit = (uint64_t)1 << (index % 64);
        if (index * class->size != offset || index >= class->blocks || words[index / 64] & bit) {
            break;
        }
        words[index / 64] |= bit;
        hint = index / 64 < hint ? (uint32_t)(index / 64) : hint;
        if (++put == n) {
            break;
        }
        offset = (uintptr_t)blocks[put] - start;
    } while (offset < length);
    span->hint = (uint16_t)hint;
    span->purged = false;
    span->free = (uint16_t)(span->free + put);
    return put;
}

/* Of blocks of which the part q is free, chosen at random, all that reach into a page are with a
 * chance of q^k, where they are k; for a part of a block more, of 1 - part (1 - q) times that. In
 * 65536ths. */
uint32_t span_pages_needed(const struct span *span) {
    const struct sizeclass *class = &sizeclass[span->cls];
    const uint32_t one = 65536, size = class->size;
    uint32_t q = span->free * one / class->blocks, k = 1, part = 0;
    if (size % PAGE != 0) {
        k = (uint32_t)(PAGE * (uint64_t)class->inverse >> 32); /* PAGE / size */
        uint32_t over = (uint32_t)PAGE - k * size;
        if (over != 0) { /* blocks reach over the ends of pages */
            k++;
            part = (uint32_t)((uint64_t)over * one * class->inverse >> 32);
        }
    }
    uint64_t idle = one - (uint64_t)part * (one - q) / one;
    for (; k > 0; k /= 2) {
        idle = k % 2 ? idle * q / one : idle;
        q = (uint32_t)((uint64_t)q * q / one);
    }
    return span_pages(span) - (uint32_t)(span_pages(span) * idle / one);
}

/* The first block from `at` on that is free, or, with `flip` all ones, not; `end` if none is. */
static unsigned next_block(const uint64_t *words, unsigned at, unsigned end, uint64_t flip) {
    while (at < end) {
        uint64_t bits = (words[at / 64] ^ flip) >> (at % 64);
        if (bits != 0) {
            at += (unsigned)__builtin_ctzll(bits);
            return at < end ? at : end;
        }
        at = (at / 64 + 1) * 64;
    }
    return end;
}

bool span_free_pages(struct span *span, size_t *from, size_t *to) {
    const struct sizeclass *class = &sizeclass[span->cls];
    const uint64_t *words = words_of(span, class);
    unsigned first = (unsigned)((*from + class->size - 1) / class->size), after;
    while ((first = next_block(words, first, class->blocks, 0)) < class->blocks) {
        after = next_block(words, first, class->blocks, ~(uint64_t)0);
        *from = align_up((size_t)first * class->size, PAGE);
        *to = after == class->blocks ? span->granules * GRANULE
                                     : (size_t)after * class->size & ~(PAGE - 1);
        if (*from < *to) {
            return true;
        }
        first = after;
    }
    return false;
}

void *span_block_of(const struct span *span, const void *address) {
    size_t offset = (uintptr_t)address - span->start;
    return (void *)(span->start + offset - offset % sizeclass[span->cls].size);
}
