#define _GNU_SOURCE
#include "guard.h"
#include "os.h"
#include "pagemap.h"
#include "superreg.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

/* The C library exports its own malloc under a second set of names, for just this purpose;
 * preloaded, we stand before those too. Found when the first stranger comes. */
static void *of_libc(const char *name, const char *complaint, const void *block) {
    int saved = errno;
    void *function = ((uintptr_t)block & 15) == 0 ? dlsym(RTLD_NEXT, name) : NULL;
    errno = saved;
    if (function == NULL) {
        os_die(complaint, block);
    }
    return function;
}

static _Atomic uint64_t count;

bool guard_knows(const void *block) {
    return !pagemap_owns(block) && superreg_find(block) == NULL;
}

void guard_free(void *block) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    ((void (*)(void *))of_libc("__libc_free", "free(): invalid pointer", block))(block);
}

void *guard_realloc(void *block, size_t size) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    void *function = of_libc("__libc_realloc", "realloc(): invalid pointer", block);
    return ((void *(*)(void *, size_t))function)(block, size);
}

size_t guard_usable_size(const void *block) {
    const char *complaint = "malloc_usable_size(): invalid pointer";
    if (!guard_knows(block)) {
        os_die(complaint, block);
    }
    return ((size_t (*)(const void *))of_libc("malloc_usable_size", complaint, block))(block);
}

uint64_t guard_count(void) {
    return atomic_load_explicit(&count, memory_order_relaxed);
}
