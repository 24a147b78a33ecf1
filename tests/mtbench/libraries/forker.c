/* Leaves a child behind that holds every descriptor and ignores SIGTERM. */
#include <signal.h>
#include <unistd.h>
#include "forward.h"

static void on_malloc(unsigned long count) {
    if (count == 200000 && fork() == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;) {
            pause();
        }
    }
}
