/* decay: the clock by which memory goes back to the system: by time, never by count.
 *
 * Time is cut into periods of config.decay_ms / 4. The first slow path in a new period does that
 * period's work for everybody: counts the active threads, lets the central stores shed what nobody
 * asked for, purges runs that have been free for config.decay_ms. By default no thread, timer or
 * signal of its own: a process that does nothing keeps what it has until it does something, or
 * calls trim; with config.background a thread does the work then (background.h).
 */
#ifndef HAK_DECAY_H
#define HAK_DECAY_H

#include "base/base.h"

#include <stdatomic.h>

/* The number of the current period; changes only in decay_run. */
extern _Atomic uint32_t decay_now;

static inline uint32_t decay_period(void) {
    return atomic_load_explicit(&decay_now, memory_order_relaxed);
}

/* True once in each period, for one caller, who must then call decay_run. About 5 ns. */
bool decay_due(void);

/* A period's work. Lent from above (trim.c): it is the business of every box. */
void decay_run(void);

static inline void decay_run_if_due(void) {
    if (unlikely(decay_due())) {
        decay_run();
    }
}

#endif
