/* A malloc that does nothing: the floor under every measurement. Preload it.
 *
 * The first thread, where the interpreter lives, gets memory that is never given out again, from
 * an arena that grows. Every other thread gets a small buffer, handed out over and over: its
 * blocks overlap, so they hold no data anyone may rely on, and a run can last for ever. Blocks are
 * 16-byte aligned, with their size in the 16 bytes before them, so realloc and malloc_usable_size
 * work. free does nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define HIDDEN_TLS static __thread __attribute__((tls_model("initial-exec")))

enum {
    HEADER = 16,
    BUFFER = 64 << 10,  /* of a thread: stays in the second-level cache */
    ARENA = 64 << 20,   /* the first thread's arena grows by this much */
    ROUNDING = 2 << 20, /* a buffer for a larger request is a multiple of this */
};

/* Invariant: cursor + room == end of the mapping, cursor is a multiple of 16. */
struct bump {
    char *cursor;
    size_t room;
    char *start;
    size_t bytes;
    int reused; /* 0 in the first thread */
};

HIDDEN_TLS struct bump mine;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `spare` and `lasting` */
static struct bump spare[4096];                          /* buffers of threads that ended */
static size_t spares;
static struct bump lasting; /* for what libc itself keeps, see calloc */
static pthread_key_t ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uintptr_t libc_start, libc_end, loader_start, loader_end;

static int map(struct bump *bump, size_t bytes) {
    char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return 0;
    bump->start = bump->cursor = start;
    bump->bytes = bump->room = bytes;
    return 1;
}

/* A dead thread's buffer is kept: others may still hold blocks of it. */
static void keep_buffer(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    if (mine.start && spares < sizeof spare / sizeof *spare)
        spare[spares++] = mine;
    pthread_mutex_unlock(&lock);
    memset(&mine, 0, sizeof mine);
}

static int note_object(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    const char *name = strrchr(info->dlpi_name, '/');
    if (!name)
        return 0;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD)
            continue;
        uintptr_t at = info->dlpi_addr + part->p_vaddr;
        low = at < low ? at : low;
        high = at + part->p_memsz > high ? at + part->p_memsz : high;
    }
    if (!strncmp(name, "/libc.", 6)) {
        libc_start = low;
        libc_end = high;
    } else if (!strncmp(name, "/ld-", 4)) {
        loader_start = low;
        loader_end = high;
    }
    return 0;
}

static void begin(void) {
    pthread_key_create(&ended, keep_buffer);
    dl_iterate_phdr(note_object, NULL);
}

static void adopt_buffer(void) {
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    if (spares)
        mine = spare[--spares];
    pthread_mutex_unlock(&lock);
    mine.reused = 1;
    pthread_setspecific(ended, &mine); /* a low key: libc stores it without calloc */
}

/* Room for `step` bytes: first use, wrap, or growth. 0: the kernel has no more memory. */
static __attribute__((noinline)) int make_room(size_t size, size_t step) {
    if (size > PTRDIFF_MAX - ROUNDING)
        return 0;
    if (!mine.start && syscall(SYS_gettid) != getpid())
        adopt_buffer();
    size_t least = mine.reused ? BUFFER : ARENA;
    if (mine.reused && mine.start && step <= mine.bytes) {
        mine.cursor = mine.start;
        mine.room = mine.bytes;
        return 1;
    }
    size_t bytes = step <= least ? least : (step + ROUNDING - 1) & ~(size_t)(ROUNDING - 1);
    /* The old mapping stays: blocks of it are in use. */
    return map(&mine, bytes);
}

PUBLIC void *malloc(size_t size) {
    size_t step = (size + HEADER + 15) & ~(size_t)15;
    /* One comparison for both a full buffer and a size whose step has wrapped round. */
    if (__builtin_expect((size | step) > mine.room, 0) && (size > mine.room || step > mine.room)) {
        if (!make_room(size, step)) {
            errno = ENOMEM;
            return NULL;
        }
    }
    char *block = mine.cursor + HEADER;
    mine.cursor += step;
    mine.room -= step;
    ((size_t *)block)[-1] = size;
    return block;
}

PUBLIC void free(void *block) {
    (void)block;
}

static int from_libc(void *caller) {
    uintptr_t at = (uintptr_t)caller;
    return (at >= libc_start && at < libc_end) || (at >= loader_start && at < loader_end);
}

/* Thread descriptors and tables of thread-local storage outlive any wrap of a thread's buffer:
 * what libc and the loader ask for, in whatever thread, is never given out again. */
static void *lasting_block(size_t size) {
    size_t step = (size + HEADER + 15) & ~(size_t)15;
    char *block = NULL;
    pthread_mutex_lock(&lock);
    if (lasting.room >= step || map(&lasting, step < ARENA ? ARENA : step + ROUNDING)) {
        block = lasting.cursor + HEADER;
        lasting.cursor += step;
        lasting.room -= step;
        ((size_t *)block)[-1] = size;
    }
    pthread_mutex_unlock(&lock);
    return block;
}

PUBLIC void *calloc(size_t count, size_t size) {
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole) || whole > PTRDIFF_MAX - ROUNDING) {
        errno = ENOMEM;
        return NULL;
    }
    if ((mine.reused || !mine.start) && from_libc(__builtin_return_address(0)))
        return lasting_block(whole);
    void *block = malloc(whole);
    /* Fresh mappings are zero, but the loader may not tell first thread from others this early. */
    return block ? memset(block, 0, whole) : NULL;
}

PUBLIC size_t malloc_usable_size(void *block) {
    return block ? ((size_t *)block)[-1] : 0;
}

PUBLIC void *realloc(void *block, size_t size) {
    if (!block)
        return malloc(size);
    size_t before = malloc_usable_size(block);
    if (size <= before) {
        ((size_t *)block)[-1] = size;
        return block;
    }
    void *moved = malloc(size);
    if (moved)
        memmove(moved, block, before);
    return moved;
}

PUBLIC void *reallocarray(void *block, size_t count, size_t size) {
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, whole);
}

PUBLIC void *memalign(size_t alignment, size_t size) {
    if (!alignment || alignment & (alignment - 1) || alignment > PTRDIFF_MAX / 2 ||
        size > PTRDIFF_MAX / 2 - alignment) {
        errno = alignment & (alignment - 1) ? EINVAL : ENOMEM;
        return NULL;
    }
    if (alignment <= HEADER)
        return malloc(size);
    char *block = malloc(size + alignment);
    if (!block)
        return NULL;
    block = (char *)(((uintptr_t)block + alignment - 1) & ~(uintptr_t)(alignment - 1));
    ((size_t *)block)[-1] = size;
    return block;
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

PUBLIC int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || alignment & (alignment - 1))
        return EINVAL;
    int before = errno;
    void *made = memalign(alignment, size);
    errno = before;
    if (!made)
        return ENOMEM;
    *block = made;
    return 0;
}

PUBLIC void *valloc(size_t size) {
    return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

PUBLIC void *pvalloc(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > PTRDIFF_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, (size + page - 1) & ~(page - 1));
}
