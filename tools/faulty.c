/*
 * A malloc with one fault, which fault.h chooses: the tests of the tests. Small power-of-two
 * classes over a bump pointer, one lock, headers of 32 bytes before each block; large blocks are
 * mappings. Without a fault it is slow and plain, and right.
 */
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 32, CLASSES = 12, LARGEST = 16 << (CLASSES - 1) };

struct header {
    void *base;    /* of the mapping, for large blocks; else NULL */
    size_t mapped; /* bytes of that mapping */
    size_t usable;
    uint32_t order;
    uint32_t magic;
};

struct chunk {
    struct chunk *next;
};

static struct chunk *lists[CLASSES];
static char *bump, *bump_end;
static size_t calls;

/* In a page that a child finds zeroed, that is unlocked, however it was forked. */
static pthread_mutex_t *lock(void) {
    static pthread_mutex_t kept, *wiped;
    if (fault() == RAW_FORK || fault() == FORK) {
        return &kept;
    }
    if (wiped == NULL) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(page, 4096, MADV_WIPEONFORK);
        wiped = page;
    }
    return wiped;
}

static void enter(void) {
    if (fault() != RACY) {
        pthread_mutex_lock(lock());
    }
}

static void leave(void) {
    if (fault() != RACY) {
        pthread_mutex_unlock(lock());
    }
}

static void unlock_child(void) {
    pthread_mutex_init(lock(), NULL);
}

__attribute__((constructor)) static void guard_fork(void) {
    if (fault() != FORK) {
        pthread_atfork(enter, leave, unlock_child);
    }
}

static void *map(size_t bytes) {
    int sharing = fault() == SHARED_PAGES ? MAP_SHARED : MAP_PRIVATE;
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED) {
        return pages;
    }
    if (fault() == ENOMEM_CRASH) {
        abort();
    }
    errno = fault() == SILENT_NULL ? 0 : ENOMEM;
    return NULL;
}

static struct header *header_of(void *block) {
    return (struct header *)((char *)block - HEADER);
}

static void *with_header(char *block, void *base, size_t mapped, size_t usable, uint32_t order) {
    *header_of(block) = (struct header){base, mapped, usable, order, 0x600d600d};
    return block;
}

/* Caller holds the lock. */
static void *take_small(uint32_t order) {
    size_t bytes = (size_t)16 << order;
    struct chunk *chunk = lists[order];
    /* So that a fork meets the lock held, and a race its rival, not once in a thousand runs. */
    if (fault() == FORK || (fault() == RACY && ++calls % 16 == 0)) {
        sched_yield();
    }
    if (chunk != NULL) {
        calls++;
        if (fault() != TWICE || calls % 512 != 0) {
            lists[order] = chunk->next;
        }
        return chunk;
    }
    size_t step = HEADER + bytes - (fault() == SHORT_CLASS && order == 2 ? 1 : 0);
    step = fault() == MISALIGNED && order == 3 ? step + 8 : step;
    if (bump == NULL || (size_t)(bump_end - bump) < step) {
        if (fault() != NOT_REENTRANT) {
            leave(); /* whoever hooks mmap may allocate */
        }
        char *fresh = map(1 << 20);
        if (fault() != NOT_REENTRANT) {
            enter();
        }
        if (fresh == NULL) {
            return NULL;
        }
        bump = fresh;
        bump_end = bump + (1 << 20);
    }
    char *block = bump + HEADER;
    bump += step;
    return with_header(block, NULL, 0, bytes, order);
}

static __attribute__((noinline)) void use_deep_stack(void) {
    volatile char deep[12 << 10];
    deep[0] = 1;
    (void)deep[0];
}

/* Faults of what a malloc does beside allocating. */
static void misbehave(void) {
    static _Thread_local volatile int ready = 1, hoarding;
    static void *reserved;
    switch (fault()) {
    case RESERVES:
        if (reserved == NULL) {
            reserved = mmap(NULL, (size_t)256 << 30, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        }
        break;
    case ASKS_PID:
        syscall(SYS_getpid);
        break;
#if defined __x86_64__
    case COUNTS_CYCLES:
        __builtin_ia32_rdtsc();
        break;
#endif
    case DEEP_STACK:
        use_deep_stack();
        break;
    case EARLY_TLS:
        if (!ready) {
            abort();
        }
        break;
    case THREAD_HOARD:
        if (!hoarding++) {
            memset(map(512 << 10), 1, 512 << 10);
        }
        break;
    default:
        break;
    }
}

/* Large blocks that are live, for a fault that looks through them. */
enum { TABLE = 1 << 15 };
static void *live[TABLE];
static size_t live_count;

static void note(void *block) {
    if (live_count < TABLE) {
        live[live_count++] = block;
    }
}

static void forget(void *block) {
    void *base = header_of(block)->base;
    for (size_t i = 0; i < live_count; i++) {
        if (header_of(live[i])->base == base) {
            live[i] = live[--live_count];
            return;
        }
    }
}

/* Milliseconds since the first call, in 32 bits. */
static int32_t age_ms(void) {
    static int64_t start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    start = start == 0 ? ms : start;
    return (int32_t)(uint32_t)(ms - start);
}

static void *take(size_t bytes, size_t alignment) {
    misbehave();
    if (bytes > PTRDIFF_MAX - 4096 || alignment > ((size_t)1 << 60) ||
        bytes + alignment > PTRDIFF_MAX - 4096) {
        errno = fault() == SILENT_NULL ? 0 : ENOMEM;
        return NULL;
    }
    int before = errno;
    if (alignment <= 16 && bytes <= LARGEST) {
        uint32_t order = 0;
        while (((size_t)16 << order) < bytes) {
            order++;
        }
        enter();
        void *block = take_small(order);
        leave();
        if (block != NULL) {
            errno = before;
            header_of(block)->usable = (size_t)16 << order;
        }
        return block;
    }
    size_t page = 4096, room = (bytes + page - 1) / page * page;
    alignment = alignment < page ? page : alignment;
    size_t mapped = room + page + alignment;
    char *base = map(mapped);
    if (base == NULL) {
        return NULL;
    }
    errno = before;
    if (fault() == CLOCK_WRAPS) {
        age_ms();
    }
    uintptr_t at = ((uintptr_t)base + HEADER + alignment - 1) / alignment * alignment;
    if (fault() == LIST) {
        note((void *)at);
    }
    return with_header((char *)at, base, mapped, room, CLASSES);
}

void free(void *block) {
    if (block == NULL) {
        return;
    }
    struct header *header = header_of(block);
    if (fault() == ERRNO_FREE) {
        errno = EINVAL;
    }
    if (fault() == HANG && ++calls >= 3000) {
        for (;;) {
            pause();
        }
    }
    if (fault() == LEAK) {
        return;
    }
    if (header->order == CLASSES) {
        if (fault() == HUGE_STAYS || (fault() == CLOCK_WRAPS && age_ms() < 0)) {
            return;
        }
        if (fault() == LIST) {
            forget(block);
        }
        int before = errno;
        munmap(header->base, header->mapped);
        errno = before;
        return;
    }
    enter();
    ((struct chunk *)block)->next = lists[header->order];
    lists[header->order] = block;
    leave();
}

void *malloc(size_t bytes) {
    static char nothing[64] __attribute__((aligned(64)));
    if (bytes == 0 && fault() == ZERO_NULL) {
        return NULL;
    }
    if (bytes == 0 && fault() == NOT_UNIQUE) {
        return with_header(nothing + HEADER, NULL, 0, 16, 0);
    }
    return take(bytes, 16);
}

void *calloc(size_t count, size_t each) {
    size_t bytes = count * each;
    if (fault() != WRAP_CALLOC && each != 0 && count > SIZE_MAX / each) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = take(bytes, 16);
    if (block != NULL && fault() != DIRTY_CALLOC) {
        memset(block, 0, bytes);
    }
    return block;
}

size_t malloc_usable_size(void *block) {
    if (block == NULL) {
        return 0;
    }
    return header_of(block)->usable + (fault() == STALE_USABLE ? 16 : 0);
}

void *realloc(void *block, size_t bytes) {
    if (block == NULL) {
        return malloc(bytes);
    }
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    size_t old = header_of(block)->usable;
    if (bytes <= old && (bytes > old / 2 || fault() == SHRINK_KEEPS)) {
        return block;
    }
    if (header_of(block)->order == CLASSES && bytes > LARGEST && fault() != LOSSY_REALLOC &&
        fault() != COPIES) {
        struct header *header = header_of(block);
        size_t offset = (size_t)((char *)block - (char *)header->base);
        size_t room = (bytes + 4095) / 4096 * 4096;
        if (bytes > PTRDIFF_MAX - 65536) {
            errno = ENOMEM;
            return NULL;
        }
        int before = errno;
        char *base = mremap(header->base, header->mapped, offset + room, MREMAP_MAYMOVE);
        if (base != MAP_FAILED) {
            errno = before;
            return with_header(base + offset, base, offset + room, room, CLASSES);
        }
        errno = before;
    }
    void *moved = take(bytes, 16);
    if (moved == NULL) {
        if (fault() == REALLOC_FREES) {
            free(block);
        }
        return NULL;
    }
    size_t kept = old < bytes ? old : bytes;
    memcpy(moved, block, fault() == LOSSY_REALLOC ? kept - kept / 8 : kept);
    free(block);
    return moved;
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    if (fault() != BAD_ALIGNMENT && (alignment == 0 || (alignment & (alignment - 1)) != 0)) {
        errno = EINVAL;
        return NULL;
    }
    return take(bytes, alignment);
}

void *memalign(size_t alignment, size_t bytes) {
    return take(bytes, alignment < 16 ? 16 : alignment);
}

int posix_memalign(void **output, size_t alignment, size_t bytes) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) {
        if (fault() == OUTPUT) {
            *output = NULL;
        }
        return EINVAL;
    }
    if (fault() == ALIGNED_ZERO && bytes == 0 && alignment >= (64 << 20)) {
        return ENOMEM;
    }
    int before = errno;
    void *block = take(bytes, alignment);
    errno = before;
    if (block == NULL) {
        return ENOMEM;
    }
    *output = block;
    return 0;
}

void *valloc(size_t bytes) {
    return take(bytes, 4096);
}

void *pvalloc(size_t bytes) {
    if (bytes > PTRDIFF_MAX - 8192) {
        errno = ENOMEM;
        return NULL;
    }
    return take((bytes + 4095) / 4096 * 4096, 4096);
}

/* The same heap by some of glibc's other names; with the fault, glibc's own. */
#define OTHER_NAME(RESULT, OTHER, NAME, TYPES, VALUES)                                             \
    RESULT OTHER TYPES;                                                                            \
    RESULT OTHER TYPES {                                                                           \
        RESULT(*next) TYPES = NAME;                                                                \
        if (fault() == FOREIGN_NAMES) {                                                            \
            void *address = dlsym(RTLD_NEXT, #OTHER);                                              \
            memcpy(&next, &address, sizeof address);                                               \
        }                                                                                          \
        return next VALUES;                                                                        \
    }

OTHER_NAME(void *, __libc_malloc, malloc, (size_t bytes), (bytes))
OTHER_NAME(void *, __libc_realloc, realloc, (void *block, size_t bytes), (block, bytes))
OTHER_NAME(void, __libc_free, free, (void *block), (block))

void cfree(void *block);

void cfree(void *block) {
    __libc_free(block);
}

/* A library opened so would find libc's malloc before this one. */
void *dlopen(const char *path, int flags) {
    static void *(*next)(const char *, int);
    void *address = dlsym(RTLD_NEXT, "dlopen");
    memcpy(&next, &address, sizeof address);
    return next(path, fault() == DEEP_BIND ? flags : flags & ~RTLD_DEEPBIND);
}
