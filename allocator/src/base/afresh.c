#include "base/afresh.h"
#include "base/os.h"

struct afresh_page afresh_page;

/* Not 0 while the process never had a second thread: the C library's word. */
extern char __libc_single_threaded __attribute__((weak));

void afresh_known(void) {
    atomic_store_explicit(&afresh_page.known, 1, memory_order_release);
}

void afresh_watch(void) {
    os_wipe_on_fork(&afresh_page, sizeof afresh_page);
    afresh_known();
}

COLD void afresh_start(void) {
    uint32_t wiped = 0;
    if (atomic_compare_exchange_strong(&afresh_page.known, &wiped, 2)) {
        if (&__libc_single_threaded == NULL || !__libc_single_threaded) {
            fork_forget();
        }
        afresh_known();
        return;
    }
    /* A thread that the child started before it needed anything shared. */
    while (atomic_load_explicit(&afresh_page.known, memory_order_acquire) != 1) {
        os_pause_ms(1);
    }
}
