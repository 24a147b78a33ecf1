/* The clocks: monotonic seconds for windows, ticks for single operations. Reading ticks costs a
 * third of clock_gettime on x86-64, where the time stamp counter is used as it is; the engine
 * finds out how long a tick lasts before the window opens. */
#ifndef WORKLOADS_CLOCK_H
#define WORKLOADS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double clock_seconds(void) {
    return (double)clock_nanoseconds() * 1e-9;
}

static inline uint64_t clock_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return clock_nanoseconds();
#endif
}

/* CPU seconds of all threads but the caller's, running ones up to this moment. */
double clock_workers_seconds(void);
void clock_sleep_until(double seconds);

#endif
