#define _GNU_SOURCE
#include "base/syscall.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

/* What the kernel returns: the result, or an error's number, negated. */
static long raw(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__) && defined(__LP64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__) && defined(__LP64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);
    result = result == -1 ? -errno : result;
    errno = saved;
    return result;
#endif
}

void *sys_mmap(void *at, size_t bytes, int protection, int flags) {
    if (WATCHED) {
        int saved = errno;
        void *mapped = mmap(at, bytes, protection, flags, -1, 0);
        mapped = mapped == MAP_FAILED ? sys_error(errno) : mapped;
        errno = saved;
        return mapped;
    }
    return (void *)raw(SYS_mmap, (long)at, (long)bytes, protection, flags, -1, 0);
}

int sys_munmap(void *at, size_t bytes) {
    if (WATCHED) {
        int saved = errno, result = munmap(at, bytes);
        errno = saved;
        return result;
    }
    return (int)raw(SYS_munmap, (long)at, (long)bytes, 0, 0, 0, 0);
}

int sys_mprotect(void *at, size_t bytes, int protection) {
    if (WATCHED) {
        int saved = errno, result = mprotect(at, bytes, protection);
        errno = saved;
        return result;
    }
    return (int)raw(SYS_mprotect, (long)at, (long)bytes, protection, 0, 0, 0);
}

int sys_madvise(void *at, size_t bytes, int advice) {
    if (WATCHED) {
        int saved = errno, result = madvise(at, bytes, advice) == 0 ? 0 : -errno;
        errno = saved;
        return result;
    }
    return (int)raw(SYS_madvise, (long)at, (long)bytes, advice, 0, 0, 0);
}

void *sys_mremap(void *at, size_t old_bytes, size_t new_bytes, int flags) {
    if (WATCHED) {
        int saved = errno;
        void *mapped = mremap(at, old_bytes, new_bytes, flags);
        errno = saved;
        return mapped;
    }
    return (void *)raw(SYS_mremap, (long)at, (long)old_bytes, (long)new_bytes, flags, 0, 0);
}

long sys_futex(_Atomic uint32_t *word, int operation, uint32_t value,
               const struct timespec *timeout) {
    return raw(SYS_futex, (long)word, operation | FUTEX_PRIVATE_FLAG, value, (long)timeout, 0, 0);
}

long sys_futex_compare(const void *word, uint32_t value) {
    return raw(SYS_futex, (long)word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, 0, (long)word,
               value);
}

long sys_clock_gettime(clockid_t clock, struct timespec *out) {
    return raw(SYS_clock_gettime, clock, (long)out, 0, 0, 0, 0);
}

long sys_getrusage(int who, struct rusage *out) {
    return raw(SYS_getrusage, who, (long)out, 0, 0, 0, 0);
}

int sys_gettid(void) {
    return (int)raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

long sys_write(int fd, const void *bytes, size_t count) {
    return raw(SYS_write, fd, (long)bytes, (long)count, 0, 0, 0);
}
