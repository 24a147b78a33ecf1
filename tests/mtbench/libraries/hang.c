/* Stops for ever in the middle of the work, deaf to SIGTERM. */
#include <signal.h>
#include <unistd.h>
#include "forward.h"

static void on_malloc(unsigned long count) {
    if (count >= 200000) {
        signal(SIGTERM, SIG_IGN);
        for (;;) {
            pause();
        }
    }
}
