#define _GNU_SOURCE
#include "guard.h"
#include "os.h"
#include "pagemap.h"
#include "superreg.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

/* glibc exports its own malloc under these names too, for just this purpose. */
extern void __libc_free(void *) __attribute__((weak));
extern void *__libc_realloc(void *, size_t) __attribute__((weak));

static _Atomic uint64_t count;

bool guard_knows(const void *block) {
    return !pagemap_owns(block) && superreg_find(block) == NULL;
}

void guard_free(void *block) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    if (__libc_free == NULL || ((uintptr_t)block & 15) != 0) {
        os_die("free(): invalid pointer", block);
    }
    __libc_free(block);
}

void *guard_realloc(void *block, size_t size) {
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    if (__libc_realloc == NULL || ((uintptr_t)block & 15) != 0) {
        os_die("realloc(): invalid pointer", block);
    }
    return __libc_realloc(block, size);
}

size_t guard_usable_size(const void *block) {
    int saved = errno;
    size_t (*usable)(const void *) =
        (size_t (*)(const void *))dlsym(RTLD_NEXT, "malloc_usable_size");
    errno = saved;
    if (usable == NULL || !guard_knows(block)) {
        os_die("malloc_usable_size(): invalid pointer", block);
    }
    return usable(block);
}

uint64_t guard_count(void) {
    return atomic_load_explicit(&count, memory_order_relaxed);
}
