/*
 * A malloc with one fault, chosen by FAULTY: the tests of the tests. Small power-of-two classes
 * over a bump pointer, one lock, headers of 32 bytes before each block; large blocks are mappings.
 * Without a fault it is slow and plain, and right.
 *
 * FAULTY is one of: none, twice, dirty-calloc, lossy-realloc, misaligned, leak, racy, hang,
 * silent-null, short-class, errno-free, wrap-calloc, bad-alignment, output, fork, zero-null,
 * huge-stays, realloc-frees, stale-usable, enomem-crash, not-unique.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum { HEADER = 32, CLASSES = 12, LARGEST = 16 << (CLASSES - 1) };

enum fault {
    NONE,
    TWICE,
    DIRTY_CALLOC,
    LOSSY_REALLOC,
    MISALIGNED,
    LEAK,
    RACY,
    HANG,
    SILENT_NULL,
    SHORT_CLASS,
    ERRNO_FREE,
    WRAP_CALLOC,
    BAD_ALIGNMENT,
    OUTPUT,
    FORK,
    ZERO_NULL,
    HUGE_STAYS,
    REALLOC_FREES,
    STALE_USABLE,
    ENOMEM_CRASH,
    NOT_UNIQUE,
    FAULTS
};

static const char *const names[FAULTS] = {
    "none",          "twice",        "dirty-calloc", "lossy-realloc", "misaligned", "leak",
    "racy",          "hang",         "silent-null",  "short-class",   "errno-free", "wrap-calloc",
    "bad-alignment", "output",       "fork",         "zero-null",     "huge-stays", "realloc-frees",
    "stale-usable",  "enomem-crash", "not-unique",
};

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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *lists[CLASSES];
static char *bump, *bump_end;
static size_t calls;

static int only_in_threads;

/* Read once, from the environment itself: getenv may not be called this early. */
static enum fault chosen_fault(void) {
    static int chosen = -1;
    if (chosen >= 0)
        return (enum fault)chosen;
    if (environ == NULL)
        return NONE; /* asked before libc has set itself up: ask again */
    int found = NONE;
    for (char **entry = environ; *entry != NULL; entry++) {
        for (int i = 0; strncmp(*entry, "FAULTY=", 7) == 0 && i < FAULTS; i++)
            if (strcmp(*entry + 7, names[i]) == 0)
                found = i;
        if (strcmp(*entry, "FAULTY_IN=threads") == 0)
            only_in_threads = 1;
    }
    chosen = found;
    return (enum fault)chosen;
}

/* With FAULTY_IN=threads the main thread (of an interpreter, say) is served without fault. */
static enum fault fault(void) {
    static _Thread_local int is_main;
    enum fault chosen = chosen_fault();
    if (chosen == NONE || !only_in_threads)
        return chosen;
    if (is_main == 0)
        is_main = syscall(SYS_gettid) == getpid() ? 1 : -1;
    return is_main == 1 ? NONE : chosen;
}

static void enter(void) {
    if (fault() != RACY)
        pthread_mutex_lock(&lock);
}

static void leave(void) {
    if (fault() != RACY)
        pthread_mutex_unlock(&lock);
}

static void unlock_child(void) {
    pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void guard_fork(void) {
    if (fault() != FORK)
        pthread_atfork(enter, leave, unlock_child);
}

static void *map(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED)
        return pages;
    if (fault() == ENOMEM_CRASH)
        abort();
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
    if (fault() == FORK || (fault() == RACY && ++calls % 16 == 0))
        sched_yield();
    if (chunk != NULL) {
        calls++;
        if (fault() != TWICE || calls % 512 != 0)
            lists[order] = chunk->next;
        return chunk;
    }
    size_t step = HEADER + bytes - (fault() == SHORT_CLASS && order == 2 ? 1 : 0);
    step = fault() == MISALIGNED && order == 3 ? step + 8 : step;
    if (bump == NULL || (size_t)(bump_end - bump) < step) {
        bump = map(1 << 20);
        if (bump == NULL)
            return NULL;
        bump_end = bump + (1 << 20);
    }
    char *block = bump + HEADER;
    bump += step;
    return with_header(block, NULL, 0, bytes, order);
}

static void *take(size_t bytes, size_t alignment) {
    if (bytes > PTRDIFF_MAX - 4096 || alignment > ((size_t)1 << 60) ||
        bytes + alignment > PTRDIFF_MAX - 4096) {
        errno = fault() == SILENT_NULL ? 0 : ENOMEM;
        return NULL;
    }
    int before = errno;
    if (alignment <= 16 && bytes <= LARGEST) {
        uint32_t order = 0;
        while (((size_t)16 << order) < bytes)
            order++;
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
    if (base == NULL)
        return NULL;
    errno = before;
    uintptr_t at = ((uintptr_t)base + HEADER + alignment - 1) / alignment * alignment;
    return with_header((char *)at, base, mapped, room, CLASSES);
}

void free(void *block) {
    if (block == NULL)
        return;
    struct header *header = header_of(block);
    if (fault() == ERRNO_FREE)
        errno = EINVAL;
    if (fault() == HANG && ++calls == 3000)
        for (;;)
            pause();
    if (fault() == LEAK)
        return;
    if (header->order == CLASSES) {
        if (fault() == HUGE_STAYS)
            return;
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
    if (bytes == 0 && fault() == ZERO_NULL)
        return NULL;
    if (bytes == 0 && fault() == NOT_UNIQUE)
        return with_header(nothing + HEADER, NULL, 0, 16, 0);
    return take(bytes, 16);
}

void *calloc(size_t count, size_t each) {
    size_t bytes = count * each;
    if (fault() != WRAP_CALLOC && each != 0 && count > SIZE_MAX / each) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = take(bytes, 16);
    if (block != NULL && fault() != DIRTY_CALLOC)
        memset(block, 0, bytes);
    return block;
}

size_t malloc_usable_size(void *block) {
    if (block == NULL)
        return 0;
    return header_of(block)->usable + (fault() == STALE_USABLE ? 16 : 0);
}

void *realloc(void *block, size_t bytes) {
    if (block == NULL)
        return malloc(bytes);
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    size_t old = header_of(block)->usable;
    if (bytes <= old && bytes > old / 2)
        return block;
    if (header_of(block)->order == CLASSES && bytes > LARGEST && fault() != LOSSY_REALLOC) {
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
        if (fault() == REALLOC_FREES)
            free(block);
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
        if (fault() == OUTPUT)
            *output = NULL;
        return EINVAL;
    }
    int before = errno;
    void *block = take(bytes, alignment);
    errno = before;
    if (block == NULL)
        return ENOMEM;
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
