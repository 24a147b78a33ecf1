#include "clock.h"

#include <errno.h>

void clock_sleep_until(double seconds) {
    struct timespec when = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        continue;
}
