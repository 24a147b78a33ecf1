/* Closes every descriptor it finds, at start and in the middle of the work. */
#include <unistd.h>
#include "forward.h"

static void close_all(void) {
    for (int descriptor = 0; descriptor < 256; descriptor++) {
        close(descriptor);
    }
}

__attribute__((constructor)) static void start(void) {
    close_all();
}

static void on_malloc(unsigned long count) {
    if (count == 200000) {
        close_all();
    }
}
