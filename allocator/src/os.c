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

static void *map_aligned(size_t bytes, size_t alignment, int protection) {
    int saved = errno;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (protection == PROT_NONE ? MAP_NORESERVE : 0);
    char *at = NULL;
    if (bytes <= PTRDIFF_MAX) {
        at = mmap(NULL, bytes, protection, flags, -1, 0);
        if (at == MAP_FAILED) {
            at = NULL;
        } else if ((uintptr_t)at & (alignment - 1)) {
            /* Not aligned by luck: map more and give the ends back. */
            munmap(at, bytes);
            at = NULL;
            if (bytes + alignment > bytes) {
                char *wide = mmap(NULL, bytes + alignment, protection, flags, -1, 0);
                if (wide != MAP_FAILED) {
                    at = (char *)align_up((uintptr_t)wide, alignment);
                    size_t before = (size_t)(at - wide);
                    if (before != 0) {
                        munmap(wide, before);
                    }
                    munmap(at + bytes, alignment - before);
                }
            }
        }
    }
    errno = saved;
    return at;
}

void *os_reserve(size_t bytes, size_t alignment) {
    return map_aligned(bytes, alignment, PROT_NONE);
}

bool os_commit(void *at, size_t bytes) {
    int saved = errno;
    bool done = mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved;
    return done;
}

bool os_purge(void *at, size_t bytes) {
    int saved = errno;
    bool done = madvise(at, bytes, MADV_DONTNEED) == 0;
    errno = saved;
    return done;
}

void os_advise_huge(void *at, size_t bytes) {
    int saved = errno;
    madvise(at, bytes, MADV_HUGEPAGE);
    errno = saved;
}

void *os_map(size_t bytes, size_t alignment) {
    return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE);
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

size_t os_address_limit(void) {
    struct rlimit limit;
    int saved = errno;
    size_t bytes = SIZE_MAX;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        bytes = (size_t)limit.rlim_cur;
    }
    errno = saved;
    return bytes;
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
