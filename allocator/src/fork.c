#include "fork.h"
#include "background.h"
#include "bigcache.h"
#include "cache.h"
#include "central.h"
#include "check.h"
#include "huge.h"
#include "lock.h"
#include "os.h"
#include "pages.h"
#include "registry.h"
#include "spans.h"

#include <pthread.h>

struct fork_page fork_page;

/* Not 0 while the process never had a second thread: the C library's word. */
extern char __libc_single_threaded __attribute__((weak));

static void free_all_locks(void) {
    for (int i = lock_count(); i-- > 0;) {
        lock_after_fork(lock_at(i));
    }
}

static void child(void) {
    registry_after_fork();
    cache_after_fork();
    free_all_locks();
    atomic_store_explicit(&fork_page.known, 1, memory_order_release);
    os_thread_is_another();
    cache_live_again();
    background_start();
}

void fork_watch(void) {
    os_wipe_on_fork(&fork_page, sizeof fork_page);
    atomic_store_explicit(&fork_page.known, 1, memory_order_release);
}

void fork_init(void) {
    pthread_atfork(lock_acquire_all, lock_release_all, child);
}

static void forget(void) {
    free_all_locks();
    check_forget();
    cache_forget();
    huge_forget();
    bigcache_forget();
    central_forget();
    spans_forget();
    registry_forget();
    pages_forget();
}

COLD void fork_start_afresh(void) {
    uint32_t wiped = 0;
    if (atomic_compare_exchange_strong(&fork_page.known, &wiped, 2)) {
        if (&__libc_single_threaded == NULL || !__libc_single_threaded) {
            forget();
        }
        atomic_store_explicit(&fork_page.known, 1, memory_order_release);
        return;
    }
    /* A thread that the child started before it needed anything shared. */
    while (atomic_load_explicit(&fork_page.known, memory_order_acquire) != 1) {
        os_pause_ms(1);
    }
}
