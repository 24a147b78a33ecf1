#define _GNU_SOURCE
#include "face/init.h"
#include "base/afresh.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/say.h"
#include "base/syscall.h"
#include "boxes/elo.h"
#include "face/background.h"
#include "face/check.h"
#include "face/fast.h"
#include "face/fork.h"
#include "pages/bigcache.h"
#include "pages/mapping.h"
#include "pages/pages.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/spans.h"
#include "tables/announce.h"
#include "tables/superreg.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>

_Atomic uint32_t init_state;

/* Calls nothing that could allocate, which would wait here for itself: no function of libc that a
 * library in front of it is known to replace. What may allocate comes after it.
 *
 * Boxes in the order of their locks' ranks, lowest first: fork takes all locks in this order. */
static void bring_up(void) {
    afresh_watch();
    os_init();
    config_init();
    lock_choose((enum lock_kind)config.lock);
    sizeclass_init();
    check_init();
    cache_init();
    elo_init();
    superreg_init();
    mapping_init();
    bigcache_init();
    central_init();
    spans_init();
    announce_init();
    if (!pages_init()) {
        say_die("no address space for the page map", NULL);
    }
}

COLD void init_run(void) {
    uint32_t begun = 0;
    if (atomic_compare_exchange_strong(&init_state, &begun, 1)) {
        bring_up();
        atomic_store_explicit(&init_state, 2, memory_order_release);
        fast_open();
        sys_futex(&init_state, FUTEX_WAKE, INT_MAX, NULL);
        int saved = errno;
        cache_init_threads();
        fork_init();
        errno = saved;
        return;
    }
    while (atomic_load_explicit(&init_state, memory_order_acquire) != 2) {
        sys_futex(&init_state, FUTEX_WAIT, 1, NULL);
    }
}

/* Before main and before any thread; a malloc that came earlier has done it already, but perhaps
 * before there was thread-local storage. */
__attribute__((constructor(101))) static void init_at_load(void) {
    init_ensure();
    fast_open();
    background_start();
}
