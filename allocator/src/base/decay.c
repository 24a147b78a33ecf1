#include "base/decay.h"
#include "base/config.h"
#include "base/os.h"

_Atomic uint32_t decay_now;
static _Atomic uint64_t next_ms;

bool decay_due(void) {
    uint64_t now = os_coarse_ms();
    uint64_t due = atomic_load_explicit(&next_ms, memory_order_relaxed);
    uint64_t period = config.decay_ms / 4 + 1;
    /* Later than it ever is: the clock was set back. (By another thread's clock it may be a bit.)
     */
    if (likely(now < due) && likely(due - now < period + 1000)) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&next_ms, &due, now + period,
                                                   memory_order_relaxed, memory_order_relaxed) &&
           due != 0;
}
