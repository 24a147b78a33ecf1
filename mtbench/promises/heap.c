#include "heap.h"

#include <dlfcn.h>
#include <string.h>

struct heap heap;

void *heap_symbol(const char *symbol) {
    return dlsym(RTLD_DEFAULT, symbol);
}

const char *heap_origin(const char *symbol) {
    Dl_info information;
    void *address = heap_symbol(symbol);
    if (address == NULL || dladdr(address, &information) == 0) {
        return NULL;
    }
    return information.dli_fname;
}

void heap_resolve(void) {
    /* memcpy, as C has no cast from an object pointer to a function pointer. */
#define RESOLVE(NAME)                                                                              \
    do {                                                                                           \
        void *address = heap_symbol(#NAME);                                                        \
        memcpy(&heap.NAME, &address, sizeof address);                                              \
    } while (0)
    RESOLVE(malloc);
    RESOLVE(calloc);
    RESOLVE(realloc);
    RESOLVE(reallocarray);
    RESOLVE(free);
    RESOLVE(memalign);
    RESOLVE(posix_memalign);
    RESOLVE(aligned_alloc);
    RESOLVE(valloc);
    RESOLVE(pvalloc);
    RESOLVE(malloc_usable_size);
    RESOLVE(malloc_trim);
    RESOLVE(mallopt);
    RESOLVE(malloc_info);
    RESOLVE(malloc_stats);
#undef RESOLVE
}
