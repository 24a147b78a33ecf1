/* Floods stderr and stdout with megabytes. */
#include <unistd.h>
#include "forward.h"

static void on_malloc(unsigned long count) {
    static const char line[4096] = "complaint";
    if (count % 1000 == 0 && count < 2000000) {
        (void)!write(1, line, sizeof(line));
        (void)!write(2, line, sizeof(line));
    }
}
