/* What the kernel knows about this process, read from outside the measured threads. Anything that
 * may be refused comes back with the reason, never as zero. */
#ifndef WORKLOADS_OBSERVE_H
#define WORKLOADS_OBSERVE_H

#include <stdbool.h>

#include "workloads.h"

struct observed_memory {
    uint64_t resident, total; /* bytes */
};

enum observed { MIGRATIONS, CYCLES, INSTRUCTIONS, CACHE_MISSES, FUTEX_CALLS, RUN_DELAY, OBSERVED };

struct observer {
    int statm;
    int events[OBSERVED]; /* perf_event descriptors that threads inherit; -1: refused */
    char reasons[OBSERVED][WK_TEXT];
    bool migrations_by_task; /* from /proc/self/task, where perf refuses */
};

/* A moment: everything that is reported as a difference over the window. */
struct observation {
    struct wk_usage process; /* the whole process less the calling thread */
    double counts[OBSERVED];
    uint64_t tasks; /* tells the threads whose run delay was summed from others */
};

/* Before the workers start, or they are not counted. */
void observer_open(struct observer *observer);
void observer_close(struct observer *observer);
struct observed_memory observe_memory(const struct observer *observer);
void observe(struct observer *observer, struct observation *now);
struct wk_usage usage_between(const struct observation *start, const struct observation *end);
struct wk_counted counted_between(const struct observer *observer, enum observed which,
                                  const struct observation *start, const struct observation *end);

#endif
