/* Ends the process at start, as a library does that refuses its configuration. */
#include <unistd.h>
#include "forward.h"

__attribute__((constructor)) static void start(void) {
    (void)!write(2, "quitter: bad setting 'x'\n", 25);
    _exit(2);
}

static void on_malloc(unsigned long count) {
    (void)count;
}
