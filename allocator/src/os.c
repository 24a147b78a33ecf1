#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Since Linux 4.17 and 5.18; older ones take the first for a hint and know nothing of the second.
 */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Not so far that it is of another part of the address space. */
#define NEAR (64 * GIB)

#define USABLE (PROT_READ | PROT_WRITE)
#define OURS (MAP_PRIVATE | MAP_ANONYMOUS)

enum os_answer os_map_at(void *at, size_t bytes) {
    int saved = errno;
    enum os_answer answer = OS_DONE;
    void *got = mmap(at, bytes, USABLE, OURS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED) {
        answer = errno == EEXIST ? OS_TAKEN : OS_REFUSED;
    } else if (got != at) {
        munmap(got, bytes);
        answer = OS_TAKEN;
    }
    errno = saved;
    return answer;
}

uintptr_t os_place(void) {
    int saved = errno;
    void *at = mmap(NULL, PAGE, PROT_NONE, OURS | MAP_NORESERVE, -1, 0);
    if (at != MAP_FAILED) {
        munmap(at, PAGE);
    }
    errno = saved;
    return at != MAP_FAILED ? (uintptr_t)at : 0;
}

/* Maps more and gives the ends back. What is given back never counts as memory. */
static char *map_wide(size_t bytes, size_t alignment) {
    if (bytes + alignment < bytes) {
        return NULL;
    }
    char *wide = mmap(NULL, bytes + alignment, PROT_NONE, OURS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED) {
        return NULL;
    }
    char *at = (char *)align_up((uintptr_t)wide, alignment);
    size_t before = (size_t)(at - wide);
    if (before != 0) {
        munmap(wide, before);
    }
    munmap(at + bytes, alignment - before);
    if (mprotect(at, bytes, USABLE) != 0) {
        munmap(at, bytes);
        return NULL;
    }
    return at;
}

void *os_map(size_t bytes, size_t alignment) {
    if (bytes > PTRDIFF_MAX) {
        return NULL;
    }
    int saved = errno;
    char *at = mmap(NULL, bytes, USABLE, OURS, -1, 0);
    if (at == MAP_FAILED) {
        at = NULL;
    } else if ((uintptr_t)at & (alignment - 1)) {
        /* Not aligned by luck: just below there is most likely room. */
        munmap(at, bytes);
        at -= (uintptr_t)at & (alignment - 1);
        if (alignment > NEAR || os_map_at(at, bytes) != OS_DONE) {
            at = map_wide(bytes, alignment);
        }
    }
    errno = saved;
    return at;
}

bool os_purge(void *at, size_t bytes) {
    int saved = errno;
    bool done = madvise(at, bytes, MADV_DONTNEED) == 0 ||
                (errno == EINVAL && madvise(at, bytes, MADV_DONTNEED_LOCKED) == 0);
    errno = saved;
    return done;
}

void os_advise_huge(void *at, size_t bytes) {
    int saved = errno;
    madvise(at, bytes, MADV_HUGEPAGE);
    errno = saved;
}

bool os_unmap(void *at, size_t bytes) {
    int saved = errno;
    bool done = munmap(at, bytes) == 0;
    errno = saved;
    return done;
}

void *os_remap(void *at, size_t old_bytes, size_t new_bytes) {
    int saved = errno;
    void *moved = mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE);
    errno = saved;
    return moved == MAP_FAILED ? NULL : moved;
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_now_ns(void) {
    return now(CLOCK_MONOTONIC);
}

uint64_t os_coarse_ms(void) {
    return now(CLOCK_MONOTONIC_COARSE) / 1000000u;
}

void os_costs(uint64_t *cpu_ns, uint64_t *faults) {
    struct rusage usage;
    int saved = errno;
    *cpu_ns = *faults = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        *cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
        *faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    }
    errno = saved;
}

static bool membarrier(int command) {
    int saved = errno;
    bool done = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved;
    return done;
}

static _Atomic int process;

bool os_barrier_init(void) {
    atomic_store_explicit(&process, (int)getpid(), memory_order_relaxed);
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

bool os_process_is_ours(void) {
    return atomic_load_explicit(&process, memory_order_relaxed) == (int)getpid();
}

bool os_barrier(void) {
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

int os_thread(void) {
    return (int)syscall(SYS_gettid);
}

bool os_thread_ended(int thread) {
    int saved = errno;
    bool ended = syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;
    errno = saved;
    return ended;
}

void os_say(const char *line) {
    int saved = errno;
    char text[512];
    size_t n = strlen(line);
    if (n > sizeof text - 1) {
        n = sizeof text - 1;
    }
    memcpy(text, line, n);
    text[n] = '\n';
    ssize_t written = write(STDERR_FILENO, text, n + 1);
    (void)written;
    errno = saved;
}

_Noreturn void os_die(const char *what, const void *address) {
    char text[256] = "hakmem: ";
    char *out = text + strlen(text);
    size_t n = strlen(what);
    n = n > 160 ? 160 : n;
    memcpy(out, what, n);
    out += n;
    memcpy(out, ": 0x", 4);
    out += 4;
    for (int shift = 60; shift >= 0; shift -= 4) {
        *out++ = "0123456789abcdef"[((uintptr_t)address >> shift) & 15];
    }
    *out = '\0';
    os_say(text);
    abort();
}
