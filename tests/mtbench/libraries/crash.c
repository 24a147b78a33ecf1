/* Crashes in the middle of the work, with last words. */
#include <signal.h>
#include <unistd.h>
#include "forward.h"

static void on_malloc(unsigned long count) {
    if (count == 200000) {
        (void)!write(2, "heap is broken\n", 15);
        raise(SIGSEGV);
    }
}
