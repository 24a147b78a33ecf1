/* parcel: a block with a pattern in every byte, made of its address, size, owner and generation, so
 * that a block handed out twice, moved without its contents or cleared too late is seen. */
#ifndef PARCEL_H
#define PARCEL_H

#include "check.h"
#include "hakmem.h"

#include <stdint.h>

struct parcel {
    unsigned char *block;
    size_t size;
    uint32_t owner, generation;
};

static inline uint64_t parcel_key(const struct parcel *parcel) {
    uint64_t key = (uint64_t)(uintptr_t)parcel->block * 0x9e3779b97f4a7c15u;
    key ^= (uint64_t)parcel->size * 0xc2b2ae3d27d4eb4fu;
    key ^= ((uint64_t)parcel->owner << 32 | parcel->generation) * 0x165667b19e3779f9u;
    return key ^ key >> 29;
}

static inline uint64_t parcel_word(uint64_t key, size_t i) {
    uint64_t word = (key + i) * 0xbf58476d1ce4e5b9u;
    return word ^ word >> 31;
}

static inline void parcel_fill(const struct parcel *parcel) {
    uint64_t key = parcel_key(parcel);
    for (size_t at = 0; at < parcel->size; at += 8) {
        uint64_t word = parcel_word(key, at);
        size_t rest = parcel->size - at;
        memcpy(parcel->block + at, &word, rest < 8 ? rest : 8);
    }
}

/* The first `bytes` are as they were filled for `parcel` (which may since have moved elsewhere). */
static inline void parcel_check_at(const struct parcel *parcel, const unsigned char *at,
                                   size_t bytes) {
    uint64_t key = parcel_key(parcel);
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = parcel_word(key, i);
        size_t rest = bytes - i;
        CHECK(memcmp(at + i, &word, rest < 8 ? rest : 8) == 0);
    }
}

static inline void parcel_check(const struct parcel *parcel) {
    parcel_check_at(parcel, parcel->block, parcel->size);
}

static inline struct parcel parcel_make(size_t size, uint32_t owner, uint32_t generation) {
    struct parcel parcel = {hak_malloc(size), size, owner, generation};
    CHECK(parcel.block != NULL);
    parcel_fill(&parcel);
    return parcel;
}

/* Checks every byte, then frees. */
static inline void parcel_end(struct parcel *parcel) {
    parcel_check(parcel);
    hak_free(parcel->block);
    parcel->block = NULL;
}

/* A size from every box: mostly tiny and mid, odd ones and those around powers of two. */
static inline size_t parcel_size(unsigned long long *state) {
    unsigned long long r = check_random(state);
    size_t power = (size_t)1 << (4 + (r >> 8) % 10);
    switch (r % 64) {
    case 0:
        return 32769 + (r >> 16) % 200000;
    case 1:
        return (r >> 16) % 2 ? (size_t)1 << 20 : 32768;
    case 2:
    case 3:
    case 4:
        return power - 1 + (r >> 16) % 3;
    default:
        return r % 2 ? (r >> 16) % 1025 : 1024 + (r >> 16) % 7169;
    }
}

#endif
