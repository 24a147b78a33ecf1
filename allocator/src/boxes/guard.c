#define _GNU_SOURCE
#include "boxes/guard.h"
#include "base/say.h"
#include "pages/pagemap.h"
#include "tables/superreg.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

/* A function of the C library, found when the first stranger comes. It exports its own malloc under
 * a second set of names, for just this purpose; preloaded, we stand before those too. */
struct of_libc {
    const char *name, *complaint;
    void *_Atomic address;
};

static void *find(struct of_libc *function, const void *block) {
    void *address = NULL;
    if (((uintptr_t)block & 15) == 0) {
        address = atomic_load_explicit(&function->address, memory_order_relaxed);
        if (address == NULL) {
            int saved = errno;
            address = dlsym(RTLD_NEXT, function->name);
            errno = saved;
            atomic_store_explicit(&function->address, address, memory_order_relaxed);
        }
    }
    if (address == NULL) {
        say_die(function->complaint, block);
    }
    return address;
}

static _Atomic uint64_t count;

bool guard_knows(const void *block) {
    return !pagemap_owns(block) && superreg_find(block) == NULL;
}

void guard_free(void *block) {
    static struct of_libc function = {"__libc_free", "free(): invalid pointer", NULL};
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    ((void (*)(void *))find(&function, block))(block);
}

void *guard_realloc(void *block, size_t size) {
    static struct of_libc function = {"__libc_realloc", "realloc(): invalid pointer", NULL};
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return ((void *(*)(void *, size_t))find(&function, block))(block, size);
}

size_t guard_usable_size(const void *block) {
    static struct of_libc function = {"malloc_usable_size", "malloc_usable_size(): invalid pointer",
                                      NULL};
    if (!guard_knows(block)) {
        say_die(function.complaint, block);
    }
    return ((size_t (*)(const void *))find(&function, block))(block);
}

uint64_t guard_count(void) {
    return atomic_load_explicit(&count, memory_order_relaxed);
}
