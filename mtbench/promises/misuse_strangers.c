/* The misuse programs without a block: what malloc never gave, and sizes that cannot be. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "memory.h"
#include "misuse.h"
#include "team.h"

static _Alignas(64) char global_array[4096] = {1};

FAULT(
    free_stack,
    {
        _Alignas(64) char local[256];
        memset(local, 1, 256);
        heap.free(local + 64);
    },
    {
        char *p = heap.malloc(256);
        heap.free(p);
    })

FAULT(free_global, { heap.free(global_array + 64); }, { heap.free(heap.malloc(4096)); })

FAULT(
    free_literal, { heap.free((void *)(uintptr_t)"a string literal in read-only memory"); },
    { heap.free(strdup("a string")); })

FAULT(
    free_mapped, { heap.free((char *)memory_pages((size_t)MIB) + 65536); },
    { heap.free(heap.valloc((size_t)MIB)); })

FAULT(
    free_wild, { heap.free((void *)(uintptr_t)0x4141414141414140); },
    { heap.free(heap.malloc(1)); })

FAULT(free_small_number, { heap.free((void *)(uintptr_t)0x10); }, { heap.free(NULL); })

FAULT(
    free_code,
    {
        void *p;
        void (*f)(void) = (void (*)(void))thread_join;
        memcpy(&p, &f, sizeof p);
        heap.free(p);
    },
    { heap.free(heap.malloc(1)); })

FAULT(
    realloc_stack,
    {
        _Alignas(64) char local[256];
        memset(local, 1, 256);
        heap.free(heap.realloc(local + 64, 500));
    },
    {
        char *p = heap.malloc(256);
        heap.free(heap.realloc(p, 500));
    })

FAULT(
    realloc_mapped, { heap.free(heap.realloc((char *)memory_pages((size_t)MIB) + 65536, 500)); },
    { heap.free(heap.realloc(heap.valloc((size_t)MIB), 500)); })

static void refused_if_null(void *block) {
    if (block == NULL) {
        _exit(EXIT_REFUSED);
    }
}

FAULT(
    impossible_malloc, { refused_if_null(heap.malloc((size_t)-100)); },
    { heap.free(heap.malloc(100)); })

FAULT(
    impossible_calloc, { refused_if_null(heap.calloc(SIZE_MAX / 16 + 2, 16)); },
    { heap.free(heap.calloc(2, 16)); })

FAULT(
    impossible_realloc, { refused_if_null(heap.realloc(heap.malloc(100), (size_t)-100)); },
    { heap.free(heap.realloc(heap.malloc(50), 100)); })

FAULT(
    impossible_alignment, { refused_if_null(heap.memalign(4096, (size_t)-100)); },
    { heap.free(heap.memalign(4096, 100)); })
