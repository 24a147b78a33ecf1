/* The clock of a test that is linked with --wrap of os_coarse_ms: it shows clock_ms, or the
 * system's time where that is 0. A test that defines it with a value has a clock that stands still
 * from the first call on but for what a promise adds; so no decay period ends by chance. */
#ifndef CLOCK_H
#define CLOCK_H

#include "base/os.h"

#include <stdatomic.h>

static _Atomic uint64_t clock_ms;

uint64_t __real_os_coarse_ms(void);
uint64_t __wrap_os_coarse_ms(void);
uint64_t __wrap_os_coarse_ms(void) {
    uint64_t at = atomic_load(&clock_ms);
    return at != 0 ? at : __real_os_coarse_ms();
}

#endif
