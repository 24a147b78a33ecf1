/* Behaves. */
#include "forward.h"

static void on_malloc(unsigned long count) {
    (void)count;
}
