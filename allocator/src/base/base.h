/* What every file of the allocator may assume: constants of the layout and the compiler's words. */
#ifndef HAK_BASE_H
#define HAK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COLD __attribute__((cold, noinline))
/* Of a variable in a header: it is in this library, so no table says where. */
#define HIDDEN __attribute__((visibility("hidden")))
#define CACHE_LINE 64
/* Functions that are called every few nanoseconds start a line of code: where they lie otherwise
 * depends on what is linked before them, and was seen to cost 16 %. */
#define HOT __attribute__((aligned(CACHE_LINE)))

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* The page map's unit. One granule belongs to one span. */
#define GRANULE_SHIFT 16
#define GRANULE ((size_t)1 << GRANULE_SHIFT)
/* The least page that a kernel has, which is every x86-64's, and the largest. */
#define PAGE ((size_t)4096)
#if defined(__x86_64__)
#define PAGE_MOST PAGE
#else
#define PAGE_MOST ((size_t)65536)
#endif
#define HUGE_PAGE ((size_t)2 << 20)

static inline size_t align_up(size_t n, size_t alignment) {
    return (n + alignment - 1) & ~(alignment - 1);
}

#endif
