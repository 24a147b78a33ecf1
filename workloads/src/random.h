/* One random stream per thread, split from the trial's seed: the same seed and thread give the same
 * stream whatever the other threads do. xoroshiro128+ (Blackman and Vigna, 2018), 64 bits a draw;
 * only the upper half is used, its low bits being weak. Neither draw divides. */
#ifndef WORKLOADS_RANDOM_H
#define WORKLOADS_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t low, high;
};

/* splitmix64 (Steele, Lea and Flood, 2014): a bijection that scatters neighbouring inputs. */
static inline uint64_t random_scatter(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline struct random random_split(uint64_t seed, uint64_t stream) {
    uint64_t root = random_scatter(seed) ^ random_scatter(~stream);
    struct random made = {random_scatter(root), random_scatter(root + 1) | 1};
    return made;
}

static inline uint64_t random_next(struct random *random) {
    uint64_t low = random->low, high = random->high, sum = low + high;
    high ^= low;
    random->low = ((low << 24) | (low >> 40)) ^ high ^ (high << 16);
    random->high = (high << 37) | (high >> 27);
    return sum;
}

/* Uniform in 0 .. bound - 1, for bound up to 2^32; biased by at most bound / 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t bound) {
    return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}

#endif
