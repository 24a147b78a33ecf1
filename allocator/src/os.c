#define _GNU_SOURCE
#include "os.h"
#include "syscall.h"
#include "vdso.h"
#include "witness.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *map_aligned(size_t bytes, size_t alignment, int protection) {
    witness_no_lock();
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (protection == PROT_NONE ? MAP_NORESERVE : 0);
    if (bytes > PTRDIFF_MAX) {
        return NULL;
    }
    char *at = sys_mmap(NULL, bytes, protection, flags);
    if (at == MAP_FAILED) {
        return NULL;
    }
    if (((uintptr_t)at & (alignment - 1)) == 0) {
        return at;
    }
    /* Not aligned by luck: map more and give the ends back. */
    sys_munmap(at, bytes);
    if (bytes + alignment < bytes) {
        return NULL;
    }
    char *wide = sys_mmap(NULL, bytes + alignment, protection, flags);
    if (wide == MAP_FAILED) {
        return NULL;
    }
    at = (char *)align_up((uintptr_t)wide, alignment);
    size_t before = (size_t)(at - wide);
    if (before != 0) {
        sys_munmap(wide, before);
    }
    sys_munmap(at + bytes, alignment - before);
    return at;
}

void *os_reserve(size_t bytes, size_t alignment) {
    return map_aligned(bytes, alignment, PROT_NONE);
}

bool os_commit(void *at, size_t bytes) {
    witness_no_lock();
    return sys_mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

bool os_purge(void *at, size_t bytes) {
    witness_no_lock();
    return sys_madvise(at, bytes, MADV_DONTNEED) == 0;
}

void os_advise_huge(void *at, size_t bytes) {
    witness_no_lock();
    sys_madvise(at, bytes, MADV_HUGEPAGE);
}

bool os_wipe_on_fork(void *at, size_t bytes) {
    return sys_madvise(at, bytes, MADV_WIPEONFORK) == 0;
}

void *os_map(size_t bytes, size_t alignment) {
    return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE);
}

bool os_unmap(void *at, size_t bytes) {
    witness_no_lock();
    return sys_munmap(at, bytes) == 0;
}

void *os_remap(void *at, size_t old_bytes, size_t new_bytes) {
    witness_no_lock();
    void *moved = sys_mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
}

static int (*vdso_clock)(clockid_t clock, struct timespec *out);
static size_t address_limit = SIZE_MAX;

void os_init(void) {
#if defined(__aarch64__)
    vdso_clock = vdso_symbol("__kernel_clock_gettime");
#else
    vdso_clock = vdso_symbol("__vdso_clock_gettime");
#endif
    struct rlimit limit;
    if (sys_getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        address_limit = (size_t)limit.rlim_cur;
    }
}

static uint64_t now(clockid_t clock) {
    struct timespec t = {0};
    if (vdso_clock == NULL || vdso_clock(clock, &t) != 0) {
        sys_clock_gettime(clock, &t);
    }
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_now_ns(void) {
    return now(CLOCK_MONOTONIC);
}

uint64_t os_coarse_ms(void) {
    return now(CLOCK_MONOTONIC_COARSE) / 1000000u;
}

bool os_pause_ms(unsigned ms) {
    static _Atomic uint32_t nobody_changes_this;
    struct timespec most = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    long result = -EINTR;
    for (int attempt = 0; result == -EINTR && attempt < 8; attempt++) {
        result = sys_futex(&nobody_changes_this, FUTEX_WAIT, 0, &most);
    }
    return result == -ETIMEDOUT;
}

size_t os_address_limit(void) {
    return address_limit;
}

void os_costs(uint64_t *cpu_ns, uint64_t *faults) {
    struct rusage usage;
    *cpu_ns = *faults = 0;
    if (sys_getrusage(RUSAGE_SELF, &usage) == 0) {
        *cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
        *faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    }
}

static _Thread_local int thread_number __attribute__((tls_model("initial-exec")));

int os_thread(void) {
    if (thread_number == 0) {
#ifdef __GLIBC__
        /* The C library knows the number and writes it into every mutex that a thread holds. */
        pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&mine);
        thread_number = mine.__data.__owner;
        pthread_mutex_unlock(&mine);
#else
        thread_number = sys_gettid();
#endif
    }
    return thread_number;
}

void os_thread_is_another(void) {
    thread_number = 0;
}

void os_say(const char *line) {
    char text[512];
    size_t n = strlen(line);
    if (n > sizeof text - 1) {
        n = sizeof text - 1;
    }
    memcpy(text, line, n);
    text[n] = '\n';
    sys_write(STDERR_FILENO, text, n + 1);
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
