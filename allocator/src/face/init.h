/* init: brings the allocator up, once, at the first block or at load, whichever comes first. */
#ifndef HAK_INIT_H
#define HAK_INIT_H

#include "base/base.h"

#include <stdatomic.h>

extern _Atomic uint32_t init_state; /* 0 not begun, 1 under way, 2 done */

void init_run(void);

static inline void init_ensure(void) {
    if (unlikely(atomic_load_explicit(&init_state, memory_order_acquire) != 2)) {
        init_run();
    }
}

#endif
