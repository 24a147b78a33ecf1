/* A malloc that forwards to glibc and calls on_malloc() first: the base of the misbehaving ones.
 * on_malloc(count) gets the number of mallocs so far, over all threads. */
#ifndef FORWARD_H
#define FORWARD_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static void on_malloc(unsigned long count);

static atomic_ulong calls;

void *malloc(size_t size) {
    on_malloc(atomic_fetch_add(&calls, 1) + 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

void free(void *block) {
    __libc_free(block);
}

#endif
