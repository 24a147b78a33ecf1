/* Refuses what a thread asks of 64 KiB and more: quick, and no service. The first thread, where
 * the interpreter lives, is served. */
#define _GNU_SOURCE
#include <unistd.h>

#define malloc forwarded
#include "forward.h"
#undef malloc

static void on_malloc(unsigned long count) {
    (void)count;
}

void *malloc(size_t size) {
    return size >= 64 << 10 && gettid() != getpid() ? NULL : forwarded(size);
}
