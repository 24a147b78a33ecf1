#include "hakmem.h"

#include "bigcache.h"
#include "central.h"
#include "config.h"
#include "decay.h"
#include "elo.h"
#include "fast.h"
#include "guard.h"
#include "huge.h"
#include "init.h"
#include "large.h"
#include "os.h"
#include "pages.h"
#include "route.h"

#include <errno.h>
#include <string.h>

#define ALIGN_LEAST ((size_t)16)

static void *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

/* A block of any size, from the box that has it. *zero: known to read as zero. NULL, errno as it
 * was, if there is no memory. */
static void *take(size_t size, size_t alignment, bool *zero) {
    *zero = false;
    if (unlikely(size > PTRDIFF_MAX || alignment > PTRDIFF_MAX)) {
        return NULL;
    }
    elo_note(size);
    if (size <= elo_threshold()) {
        unsigned cls = sizeclass_aligned(size, alignment);
        if (cls != CLASS_NONE) {
            return cache_pop(cls);
        }
        void *run = run_take(size, alignment, zero);
        if (run != NULL) {
            return run;
        }
    }
    return huge_take(size, alignment, zero);
}

COLD void *malloc_slow(size_t size) {
    init_ensure();
    bool zero;
    void *block = take(size, ALIGN_LEAST, &zero);
    return likely(block != NULL) ? block : no_memory();
}

COLD void free_slow(void *block) {
    if (block == NULL) {
        return;
    }
    init_ensure();
    unsigned cls = pagemap_class(block);
    if (class_is_block(cls)) {
        cache_push(cls, block);
    } else if (cls == CLASS_ROUTED) {
        route_free(block);
    } else if (cls == CLASS_RUN) {
        run_free(block);
    } else if (pagemap_range(block) != NULL) {
        os_die("free(): invalid pointer", block);
    } else if (!huge_free(block)) {
        guard_free(block);
    }
}

void *hak_malloc(size_t size) {
    return fast_malloc(size);
}

void hak_free(void *block) {
    fast_free(block);
}

void *hak_calloc(size_t count, size_t size) {
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
        return no_memory();
    }
    if (likely(bytes <= SMALL_MAX)) {
        void *block = fast_malloc(bytes);
        return likely(block != NULL) ? memset(block, 0, bytes) : NULL;
    }
    init_ensure();
    bool zero;
    void *block = take(bytes, ALIGN_LEAST, &zero);
    if (unlikely(block == NULL)) {
        return no_memory();
    }
    return zero ? block : memset(block, 0, bytes);
}

/* The class of a block that has one, through whatever the page map says; else CLASS_NONE. */
static unsigned class_of_block(const void *block, unsigned byte) {
    return byte == CLASS_ROUTED   ? pagemap_span(block)->cls
           : class_is_block(byte) ? byte
                                  : CLASS_NONE;
}

size_t hak_usable_size(const void *block) {
    if (block == NULL) {
        return 0;
    }
    unsigned byte = pagemap_class(block), cls = class_of_block(block, byte);
    if (cls != CLASS_NONE) {
        return sizeclass[cls].size;
    }
    if (byte == CLASS_RUN) {
        return run_usable(block);
    }
    size_t bytes = huge_usable(block);
    return bytes != 0 ? bytes : guard_usable_size(block);
}

/* Resizes without moving contents; NULL if that cannot be. */
static void *resize_in_place(void *block, size_t old, size_t size) {
    unsigned byte = pagemap_class(block);
    if (class_of_block(block, byte) != CLASS_NONE) {
        /* Stay while at least half is used, or there is little to win. */
        return size <= old && (size >= old / 2 || old <= 128) ? block : NULL;
    }
    if (byte == CLASS_RUN) {
        return size > LARGE_MAX / 2 && run_resize(block, size) ? block : NULL;
    }
    bool known;
    return size > LARGE_MAX / 2 ? huge_resize(block, size, &known) : NULL;
}

void *hak_realloc(void *block, size_t size) {
    if (block == NULL) {
        return fast_malloc(size);
    }
    if (size == 0) {
        fast_free(block);
        return NULL;
    }
    init_ensure();
    if (unlikely(size > PTRDIFF_MAX)) {
        return no_memory();
    }
    if (unlikely(guard_knows(block))) {
        return guard_realloc(block, size);
    }
    size_t old = hak_usable_size(block);
    void *same = resize_in_place(block, old, size);
    if (same != NULL) {
        return same;
    }
    int saved = errno;
    void *moved = fast_malloc(size);
    if (unlikely(moved == NULL)) {
        if (size > old) {
            return NULL;
        }
        /* A smaller block always fits where it is. */
        errno = saved;
        return block;
    }
    memcpy(moved, block, old < size ? old : size);
    fast_free(block);
    return moved;
}

void *hak_reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? no_memory() : hak_realloc(block, bytes);
}

static bool power_of_two(size_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

/* Requires a power of two. */
static void *aligned(size_t alignment, size_t size) {
    if (alignment <= ALIGN_LEAST) {
        return fast_malloc(size);
    }
    init_ensure();
    bool zero;
    void *block = take(size, alignment, &zero);
    return likely(block != NULL) ? block : no_memory();
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
    if (!power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return aligned(alignment, size);
}

void *hak_memalign(size_t alignment, size_t size) {
    if (alignment > (SIZE_MAX >> 1) + 1) {
        errno = EINVAL;
        return NULL;
    }
    size_t power = ALIGN_LEAST;
    while (power < alignment) {
        power <<= 1;
    }
    return aligned(power, size);
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
    if (!power_of_two(alignment) || alignment < sizeof(void *)) {
        return EINVAL;
    }
    int saved = errno;
    void *block = aligned(alignment, size);
    errno = saved;
    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

void *hak_valloc(size_t size) {
    return aligned(PAGE, size);
}

void *hak_pvalloc(size_t size) {
    return size > PTRDIFF_MAX ? no_memory() : aligned(PAGE, align_up(size, PAGE));
}

void hak_free_sized(void *block, size_t size) {
    (void)size;
    fast_free(block);
}

void hak_free_aligned_sized(void *block, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    fast_free(block);
}

int hak_trim(void) {
    init_ensure();
    cache_drain();
    central_drain();
    size_t bytes = bigcache_decay(UINT64_MAX);
    bytes += pages_purge(os_coarse_ms(), 0);
    return bytes != 0;
}
