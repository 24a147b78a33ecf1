#include "pattern.h"

#include <string.h>

static _Thread_local uint32_t generation;

/* splitmix64, Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. */
static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t random_next(uint64_t *state) {
    return mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)(random_next(state) % bound);
}

uint64_t pattern_key(const void *block, size_t bytes, uint32_t owner) {
    uint64_t who = ((uint64_t)owner << 32) | ++generation;
    return mix((uint64_t)(uintptr_t)block ^ mix(bytes ^ mix(who)));
}

/* One multiplication a word: cheap enough to check every byte always. */
static uint64_t word(uint64_t key, size_t index) {
    uint64_t value = (key + index) * UINT64_C(0x9e3779b97f4a7c15);
    return value ^ (value >> 29);
}

void pattern_fill(void *block, size_t bytes, uint64_t key) {
    unsigned char *at = block;
    size_t index = 0;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t value = word(key, index++);
        memcpy(at, &value, sizeof value);
    }
    uint64_t value = word(key, index);
    memcpy(at, &value, bytes);
}

static size_t first_difference(const unsigned char *left, const unsigned char *right, size_t n) {
    size_t i = 0;
    while (i < n && left[i] == right[i]) {
        i++;
    }
    return i;
}

size_t pattern_check(const void *block, size_t bytes, uint64_t key) {
    const unsigned char *at = block;
    size_t index = 0, left = bytes;
    for (; left > 0; index++) {
        uint64_t expected = word(key, index);
        size_t step = left < sizeof expected ? left : sizeof expected;
        if (memcmp(at, &expected, step) != 0) {
            return bytes - left + first_difference(at, (const unsigned char *)&expected, step);
        }
        at += step;
        left -= step;
    }
    return bytes;
}

size_t pattern_constant(const void *block, size_t bytes, unsigned char value) {
    const unsigned char *at = block;
    unsigned char expected[64];
    memset(expected, value, sizeof expected);
    size_t left = bytes;
    while (left > 0) {
        size_t step = left < sizeof expected ? left : sizeof expected;
        if (memcmp(at, expected, step) != 0) {
            return bytes - left + first_difference(at, expected, step);
        }
        at += step;
        left -= step;
    }
    return bytes;
}
