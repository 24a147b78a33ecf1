/* Latency histogram, log-linear: 64 buckets an octave, so a bucket is at most 1/64 (1.6 %) of its
 * value wide; below 64 ns every nanosecond has its own. 2240 buckets reach 2^40 ns (18 minutes).
 * Histograms are merged by adding counts; nothing is ever averaged. */
#ifndef WORKLOADS_HISTOGRAM_H
#define WORKLOADS_HISTOGRAM_H

#include "workloads.h"

struct histogram {
    uint64_t counts[WK_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t nanoseconds) {
    if (nanoseconds < WK_OCTAVE) {
        return (uint32_t)nanoseconds;
    }
    uint32_t shift = (uint32_t)(__builtin_clzll(WK_OCTAVE) - __builtin_clzll(nanoseconds));
    uint64_t bucket = shift * (uint64_t)WK_OCTAVE + (nanoseconds >> shift);
    return bucket < WK_BUCKETS ? (uint32_t)bucket : WK_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t nanoseconds) {
    histogram->counts[histogram_bucket(nanoseconds)]++;
}

#endif
