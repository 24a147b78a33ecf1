#include "hakmem.h"

#include "base/config.h"
#include "base/os.h"
#include "boxes/guard.h"
#include "face/block.h"
#include "face/check.h"
#include "face/fast.h"
#include "face/init.h"
#include "face/trim.h"

#include <errno.h>
#include <string.h>

size_t fast_sizes;

void fast_open(void) {
    if (cache_now() != NULL) {
        pagemap.fast_base = pagemap.base;
        fast_sizes = SMALL_MAX + 1;
    }
}

static void *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

/* A block through checked mode where that is on, else straight from its box. */
static void *take(size_t size, size_t alignment, bool *zero) {
    init_ensure();
    return config.check ? check_take(size, alignment, zero) : block_take(size, alignment, zero);
}

COLD void *malloc_slow(size_t size) {
    bool zero = false;
    void *block = take(size, ALIGN_LEAST, &zero);
    return likely(block != NULL) ? block : no_memory();
}

COLD void free_slow(void *block) {
    if (block == NULL) {
        return;
    }
    init_ensure();
    if (config.check) {
        check_give(block);
    } else {
        block_give(block);
    }
}

HOT void *hak_malloc(size_t size) {
    return fast_malloc(size);
}

HOT void hak_free(void *block) {
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
    bool zero = true;
    void *block = take(bytes, ALIGN_LEAST, &zero);
    if (unlikely(block == NULL)) {
        return no_memory();
    }
    return zero ? block : memset(block, 0, bytes);
}

size_t hak_usable_size(const void *block) {
    if (block == NULL) {
        return 0;
    }
    return config.check ? check_usable(block) : block_usable(block);
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
    if (unlikely(guard_knows(block)) && !config.check) {
        return guard_realloc(block, size);
    }
    size_t old = hak_usable_size(block);
    void *same = config.check ? NULL : block_resize(block, old, size);
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
    bool zero = false;
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
    return aligned(os_page(), size);
}

void *hak_pvalloc(size_t size) {
    return size > PTRDIFF_MAX ? no_memory() : aligned(os_page(), align_up(size, os_page()));
}

void hak_free_sized(void *block, size_t size) {
    if (config.check && block != NULL) {
        check_size(block, size);
    }
    fast_free(block);
}

void hak_free_aligned_sized(void *block, size_t alignment, size_t size) {
    if (config.check && block != NULL) {
        check_size(block, size);
        check_alignment(block, alignment);
    }
    fast_free(block);
}

int hak_trim(void) {
    init_ensure();
    check_drain();
    return trim_all() != 0;
}
