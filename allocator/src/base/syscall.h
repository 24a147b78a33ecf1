/* syscall: every system call that hakmem makes, straight to the kernel.
 *
 * Not through libc's functions: a library loaded before it may put its own in their place, and
 * allocate there. None of these touches errno: failure is in the return value, an error's number,
 * negated. Under a sanitizer the memory calls go through libc, where its runtime looks on.
 */
#ifndef HAK_SYSCALL_H
#define HAK_SYSCALL_H

#include "base/base.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

/* Where an address is returned, an error as one, and whether it is one. */
static inline void *sys_error(int number) {
    return (void *)(intptr_t)-number;
}
static inline bool sys_is_error(const void *address) {
    return (uintptr_t)address > (uintptr_t)-4096;
}

void *sys_mmap(void *at, size_t bytes, int protection, int flags);
int sys_munmap(void *at, size_t bytes);
int sys_mprotect(void *at, size_t bytes, int protection);
int sys_madvise(void *at, size_t bytes, int advice);
void *sys_mremap(void *at, size_t old_bytes, size_t new_bytes, int flags);

/* On a word of this process alone. FUTEX_WAIT with a timeout waits no longer than that. */
long sys_futex(_Atomic uint32_t *word, int operation, uint32_t value,
               const struct timespec *timeout);

/* FUTEX_CMP_REQUEUE of nobody to nowhere: 0 if the word is `value`, -EAGAIN if it is not, -EFAULT
 * if it cannot be read. Nobody is woken or moved. */
long sys_futex_compare(const void *word, uint32_t value);

long sys_clock_gettime(clockid_t clock, struct timespec *out);
long sys_getrusage(int who, struct rusage *out);
int sys_gettid(void); /* only where the C library does not tell */
long sys_write(int fd, const void *bytes, size_t count);

#endif
