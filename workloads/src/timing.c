#include "timing.h"

#include "clock.h"
#include "histogram.h"

/* A quarter of the 1 % that timing may cost: timing_cost() is the clock's part. Leaving the hot
 * loop for the long one and coming back, which depends on the kernel, takes about twice as much
 * again (60 ns in all where the clock takes 21). */
static const double SHARE = 0.0025;
static const uint32_t LONGEST = 1u << 30;

double timing_cost(void) {
    enum { BATCHES = 16, BATCH = 64 };
    struct histogram times = {{0}};
    uint64_t least = UINT64_MAX;
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        uint64_t start = clock_nanoseconds();
        for (uint32_t i = 0; i < BATCH; i++) {
            uint64_t ticks = clock_ticks();
            histogram_add(&times, clock_ticks() - ticks);
            __asm__ volatile("" : : "r"(&times) : "memory"); /* or nobody would need the counts */
        }
        uint64_t taken = clock_nanoseconds() - start;
        least = taken < least ? taken : least;
    }
    return (double)least / BATCH;
}

uint32_t wk_latency_every(uint32_t asked, double timing_cost, double operation_cost) {
    uint32_t every = asked;
    if (asked < WK_FINEST || !(operation_cost > 0)) {
        return every;
    }
    while (every < LONGEST && timing_cost > SHARE * operation_cost * every) {
        every *= 2;
    }
    return every;
}
