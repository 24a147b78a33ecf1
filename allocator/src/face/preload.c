/* preload: the process's malloc. Every allocating symbol of libc that a program can reach, so that
 * no block is made by one library and freed by another. */
#define _GNU_SOURCE
#include "hakmem.h"

#include "base/config.h"
#include "face/fast.h"
#include "face/init.h"
#include "face/stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

HAK_EXPORT HOT void *malloc(size_t size) {
    return fast_malloc(size);
}
HAK_EXPORT HOT void free(void *block) {
    fast_free(block);
}
HAK_EXPORT void *calloc(size_t count, size_t size) {
    return hak_calloc(count, size);
}
HAK_EXPORT void *realloc(void *block, size_t size) {
    return hak_realloc(block, size);
}
HAK_EXPORT void *reallocarray(void *block, size_t count, size_t size) {
    return hak_reallocarray(block, count, size);
}
HAK_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return hak_aligned_alloc(alignment, size);
}
HAK_EXPORT void *memalign(size_t alignment, size_t size) {
    return hak_memalign(alignment, size);
}
HAK_EXPORT int posix_memalign(void **out, size_t alignment, size_t size) {
    return hak_posix_memalign(out, alignment, size);
}
HAK_EXPORT void *valloc(size_t size) {
    return hak_valloc(size);
}
HAK_EXPORT void *pvalloc(size_t size) {
    return hak_pvalloc(size);
}

/* What glibc calls the same functions, for programs that go round a malloc put before them, and the
 * name that free had for programs from before glibc 2.26. No header declares them any more. */
HAK_EXPORT void *__libc_malloc(size_t size);
HAK_EXPORT void *__libc_malloc(size_t size) {
    return hak_malloc(size);
}
HAK_EXPORT void __libc_free(void *block);
HAK_EXPORT void __libc_free(void *block) {
    hak_free(block);
}
HAK_EXPORT void cfree(void *block);
HAK_EXPORT void cfree(void *block) {
    hak_free(block);
}
HAK_EXPORT void *__libc_calloc(size_t count, size_t size);
HAK_EXPORT void *__libc_calloc(size_t count, size_t size) {
    return hak_calloc(count, size);
}
HAK_EXPORT void *__libc_realloc(void *block, size_t size);
HAK_EXPORT void *__libc_realloc(void *block, size_t size) {
    return hak_realloc(block, size);
}
HAK_EXPORT void *__libc_memalign(size_t alignment, size_t size);
HAK_EXPORT void *__libc_memalign(size_t alignment, size_t size) {
    return hak_memalign(alignment, size);
}
HAK_EXPORT void *__libc_valloc(size_t size);
HAK_EXPORT void *__libc_valloc(size_t size) {
    return hak_valloc(size);
}
HAK_EXPORT void *__libc_pvalloc(size_t size);
HAK_EXPORT void *__libc_pvalloc(size_t size) {
    return hak_pvalloc(size);
}

HAK_EXPORT void free_sized(void *block, size_t size) {
    hak_free_sized(block, size);
}
HAK_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size) {
    hak_free_aligned_sized(block, alignment, size);
}
HAK_EXPORT size_t malloc_usable_size(void *block) {
    return hak_usable_size(block);
}
HAK_EXPORT int malloc_trim(size_t keep) {
    (void)keep;
    return hak_trim();
}

/* glibc's tunables mean nothing here: accepted, as its documentation allows, and without effect. */
HAK_EXPORT int mallopt(int parameter, int value) {
    (void)parameter;
    (void)value;
    return 1;
}

#if !defined(__GLIBC__) || __GLIBC_PREREQ(2, 33)
HAK_EXPORT struct mallinfo2 mallinfo2(void) {
    struct stats_summary sum;
    stats_summary(&sum);
    return (struct mallinfo2){
        .arena = sum.mapped,
        .hblks = sum.huge_count,
        .hblkhd = sum.huge_bytes,
        .uordblks = sum.used,
        .fordblks = sum.free,
        .keepcost = sum.free + sum.bigcache,
    };
}
#endif

/* A plug-in that is opened with RTLD_DEEPBIND finds the C library's malloc before ours, and what it
 * allocates and we free, or the other way round, ends the process. So the flag is dropped, unless
 * config.deepbind says that the program needs it. The last call is a jump, so that the loader finds
 * the search path of whoever called us. */
HAK_EXPORT void *dlopen(const char *file, int mode) {
    static void *(*_Atomic real)(const char *, int);
    init_ensure();
    void *(*open)(const char *, int) = atomic_load_explicit(&real, memory_order_relaxed);
    if (open == NULL) {
        open = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
        atomic_store_explicit(&real, open, memory_order_relaxed);
    }
    return open(file, config.deepbind ? mode : mode & ~RTLD_DEEPBIND);
}

static int clip(size_t n) {
    return n > 0x7fffffff ? 0x7fffffff : (int)n;
}

HAK_EXPORT struct mallinfo mallinfo(void) {
    struct stats_summary sum;
    stats_summary(&sum);
    return (struct mallinfo){
        .arena = clip(sum.mapped),
        .hblks = clip(sum.huge_count),
        .hblkhd = clip(sum.huge_bytes),
        .uordblks = clip(sum.used),
        .fordblks = clip(sum.free),
        .keepcost = clip(sum.free + sum.bigcache),
    };
}

HAK_EXPORT int malloc_info(int options, FILE *stream) {
    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    struct stats_summary sum;
    stats_summary(&sum);
    return fprintf(stream,
                   "<malloc version=\"1\">\n<system type=\"current\" size=\"%zu\"/>\n"
                   "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
                   "<total type=\"used\" size=\"%zu\"/>\n<total type=\"rest\" size=\"%zu\"/>\n"
                   "</malloc>\n",
                   sum.mapped, sum.huge_count, sum.huge_bytes, sum.used, sum.free) < 0
               ? -1
               : 0;
}

HAK_EXPORT void malloc_stats(void) {
    struct stats_summary sum;
    stats_summary(&sum);
    fprintf(stderr,
            "hakmem\nsystem bytes     = %10zu\nin use bytes     = %10zu\n"
            "max mmap regions = %10zu\nmax mmap bytes   = %10zu\n",
            sum.mapped + sum.huge_bytes, sum.used + sum.huge_bytes, sum.huge_count, sum.huge_bytes);
}
