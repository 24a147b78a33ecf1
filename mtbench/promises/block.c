#include "block.h"

#include <errno.h>
#include <string.h>

#include "heap.h"
#include "pattern.h"
#include "probe.h"

static const struct {
    const char *name;
    size_t alignment;
} kinds[KINDS] = {
    [BY_MALLOC] = {"malloc", 16},
    [BY_CALLOC] = {"calloc", 16},
    [BY_REALLOC] = {"realloc", 16},
    [BY_MEMALIGN] = {"memalign", 64},
    [BY_POSIX_MEMALIGN] = {"posix_memalign", 256},
    [BY_ALIGNED_ALLOC] = {"aligned_alloc", 32},
    [BY_VALLOC] = {"valloc", 4096},
};

const char *kind_name(enum kind kind) {
    return kinds[kind].name;
}

static void *take(enum kind kind, size_t bytes) {
    size_t alignment = kinds[kind].alignment;
    void *pointer = NULL;
    switch (kind) {
    case BY_CALLOC:
        return heap.calloc(1, bytes);
    case BY_REALLOC:
        return heap.realloc(NULL, bytes);
    case BY_MEMALIGN:
        return heap.memalign(alignment, bytes);
    case BY_ALIGNED_ALLOC:
        return heap.aligned_alloc(alignment, bytes);
    case BY_VALLOC:
        return heap.valloc(bytes);
    case BY_POSIX_MEMALIGN: {
        int error = heap.posix_memalign(&pointer, alignment, bytes);
        REQUIRE(error == 0 || error == ENOMEM, "posix_memalign(%zu, %zu) returned %s", alignment,
                bytes, strerror(error));
        if (error != 0) {
            errno = error;
        }
        return error == 0 ? pointer : NULL;
    }
    default:
        return heap.malloc(bytes);
    }
}

bool block_try(struct block *block, enum kind kind, size_t bytes, uint32_t owner) {
    *block = (struct block){0};
    int before = errno;
    errno = 0;
    unsigned char *at = take(kind, bytes);
    if (at == NULL) {
        return false;
    }
    errno = before;
    if (kind == BY_CALLOC) {
        size_t wrong = pattern_constant(at, bytes, 0);
        REQUIRE(wrong == bytes, "calloc(1, %zu): byte %zu is not zero", bytes, wrong);
    }
    *block = (struct block){at, bytes, pattern_key(at, bytes, owner)};
    pattern_fill(at, bytes, block->key);
    return true;
}

void block_take(struct block *block, enum kind kind, size_t bytes, uint32_t owner) {
    REQUIRE(block_try(block, kind, bytes, owner), "%s(%zu) = NULL though memory is there",
            kind_name(kind), bytes);
}

static void check(const struct block *block, const unsigned char *at, size_t bytes,
                  const char *when) {
    size_t wrong = pattern_check(at, bytes, block->key);
    REQUIRE(wrong == bytes, "block of %zu bytes at %p: byte %zu changed %s", block->bytes,
            (const void *)at, wrong, when);
}

void block_check(const struct block *block) {
    check(block, block->at, block->bytes, "while it was live");
}

bool block_try_resize(struct block *block, size_t bytes, uint32_t owner) {
    block_check(block);
    int before = errno;
    errno = 0;
    unsigned char *at = heap.realloc(block->at, bytes);
    if (at == NULL) {
        int error = errno;
        check(block, block->at, block->bytes, "in a failed realloc");
        errno = error;
        return false;
    }
    errno = before;
    check(block, at, bytes < block->bytes ? bytes : block->bytes, "in realloc");
    *block = (struct block){at, bytes, pattern_key(at, bytes, owner)};
    pattern_fill(at, bytes, block->key);
    return true;
}

void block_resize(struct block *block, size_t bytes, uint32_t owner) {
    REQUIRE(block_try_resize(block, bytes, owner), "realloc to %zu = NULL though memory is there",
            bytes);
}

void block_drop(struct block *block) {
    if (block->at == NULL) {
        return;
    }
    block_check(block);
    heap.free(block->at);
    *block = (struct block){0};
}

size_t block_size_draw(uint64_t *random, size_t limit) {
    unsigned bits = 1;
    while (bits < 62 && ((size_t)1 << bits) < limit) {
        bits++;
    }
    size_t power = (size_t)1 << random_below(random, bits);
    size_t bytes;
    if (random_below(random, 4) == 0) {
        bytes = power - 1 + random_below(random, 3); /* 2^k - 1, 2^k, 2^k + 1 */
    } else {
        bytes = (power + random_below(random, power)) | 1;
    }
    if (bytes == 0) {
        bytes = 1;
    }
    return bytes < limit ? bytes : limit;
}

static const struct {
    const char *name;
    size_t from, to;
} ranges[RANGES] = {
    [TINY] = {"tiny", 1, 1024},
    [MID] = {"mid", 1025, 32 * 1024},
    [LARGE] = {"large", 32 * 1024 + 1, 1024 * 1024},
    [HUGE] = {"huge", 1024 * 1024 + 1, 3 * 1024 * 1024},
};

size_t range_draw(uint64_t *random, enum range range) {
    return ranges[range].from + random_below(random, ranges[range].to - ranges[range].from + 1);
}

const char *range_name(enum range range) {
    return ranges[range].name;
}
