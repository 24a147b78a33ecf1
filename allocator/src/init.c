#define _GNU_SOURCE
#include "init.h"
#include "bigcache.h"
#include "cache.h"
#include "central.h"
#include "check.h"
#include "config.h"
#include "elo.h"
#include "fast.h"
#include "fork.h"
#include "huge.h"
#include "idle.h"
#include "os.h"
#include "pages.h"
#include "route.h"
#include "superreg.h"

#include <errno.h>
#include <sched.h>

_Atomic int init_state;

/* Boxes in the order of their locks' ranks, lowest first: fork takes all locks in this order. */
static void bring_up(void) {
    int saved = errno;
    config_init();
    sizeclass_init();
    check_init();
    cache_init();
    idle_init();
    elo_init();
    superreg_init();
    huge_init();
    bigcache_init();
    central_init();
    if (!route_init() || !pages_init()) {
        os_die("no address space for the page map", NULL);
    }
    errno = saved;
}

COLD void init_run(void) {
    int begun = 0;
    if (atomic_compare_exchange_strong(&init_state, &begun, 1)) {
        bring_up();
        atomic_store_explicit(&init_state, 2, memory_order_release);
        fast_open();
        /* May allocate, so only now. */
        fork_init();
        return;
    }
    while (atomic_load_explicit(&init_state, memory_order_acquire) != 2) {
        sched_yield();
    }
}

/* Before main and before any thread; a malloc that came earlier has done it already, but perhaps
 * before there was thread-local storage. */
__attribute__((constructor(101))) static void init_at_load(void) {
    init_ensure();
    fast_open();
}
