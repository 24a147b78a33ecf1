/*
 * The malloc under test, as the process sees it: every symbol looked up in global scope, so the
 * preloaded library comes first. Calls through this table are opaque to the compiler, which can
 * neither remove them nor warn about the misuse that some probes commit on purpose.
 *
 * Written once by heap_resolve() before any probe, read-only afterwards. A symbol that no library
 * exports is NULL; extras.present demands that none is.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdio.h>

struct heap {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*reallocarray)(void *, size_t, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
    int (*malloc_trim)(size_t);
    int (*mallopt)(int, int);
    int (*malloc_info)(int, FILE *);
    void (*malloc_stats)(void);
};

extern struct heap heap;

void heap_resolve(void);

/* The file name of the object that defines the symbol in this process, or NULL. */
const char *heap_origin(const char *symbol);

/* The address of the symbol in this process, or NULL. */
void *heap_symbol(const char *symbol);

#endif
