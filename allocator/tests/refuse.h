/* refuse: lets a test stand between the allocator and the kernel (linked with --wrap), count the
 * calls for memory, and refuse some of them with ENOMEM. */
#ifndef REFUSE_H
#define REFUSE_H

#include "check.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum refuse_call {
    CALL_MMAP = 1,
    CALL_MUNMAP = 2,
    CALL_MPROTECT = 4,
    CALL_MADVISE = 8,
    CALL_MREMAP = 16,
    CALL_ANY = 31
};

/* Calls of a kind in `refuse_kinds`, about at least `refuse_least` bytes, are numbered from 1;
 * those from `refuse_from` to `refuse_to` are refused. */
static _Atomic unsigned refuse_kinds;
static _Atomic size_t refuse_least;
static _Atomic long refuse_count, refuse_from, refuse_to;
/* Called before each call, outside all locks. */
static void (*refuse_hook)(enum refuse_call call, size_t bytes);

static inline void refuse_begin(unsigned kinds, long from, long to) {
    atomic_store(&refuse_count, 0);
    atomic_store(&refuse_from, from);
    atomic_store(&refuse_to, to);
    atomic_store(&refuse_kinds, kinds);
}

static inline void refuse_end(void) {
    atomic_store(&refuse_kinds, 0);
}

static bool refuse_this(enum refuse_call call, size_t bytes) {
    if (refuse_hook != NULL) {
        refuse_hook(call, bytes);
    }
    if ((atomic_load(&refuse_kinds) & call) == 0 || bytes < atomic_load(&refuse_least)) {
        return false;
    }
    long n = atomic_fetch_add(&refuse_count, 1) + 1;
    if (n < atomic_load(&refuse_from) || n > atomic_load(&refuse_to)) {
        return false;
    }
    return true;
}

void *__real_sys_mmap(void *at, size_t bytes, int protection, int flags);
int __real_sys_munmap(void *at, size_t bytes);
int __real_sys_mprotect(void *at, size_t bytes, int protection);
int __real_sys_madvise(void *at, size_t bytes, int advice);
void *__real_sys_mremap(void *at, size_t old_bytes, size_t new_bytes, int flags);

void *__wrap_sys_mmap(void *at, size_t bytes, int protection, int flags);
void *__wrap_sys_mmap(void *at, size_t bytes, int protection, int flags) {
    return refuse_this(CALL_MMAP, bytes) ? MAP_FAILED
                                         : __real_sys_mmap(at, bytes, protection, flags);
}

int __wrap_sys_munmap(void *at, size_t bytes);
int __wrap_sys_munmap(void *at, size_t bytes) {
    return refuse_this(CALL_MUNMAP, bytes) ? -ENOMEM : __real_sys_munmap(at, bytes);
}

int __wrap_sys_mprotect(void *at, size_t bytes, int protection);
int __wrap_sys_mprotect(void *at, size_t bytes, int protection) {
    return refuse_this(CALL_MPROTECT, bytes) ? -ENOMEM : __real_sys_mprotect(at, bytes, protection);
}

int __wrap_sys_madvise(void *at, size_t bytes, int advice);
int __wrap_sys_madvise(void *at, size_t bytes, int advice) {
    return refuse_this(CALL_MADVISE, bytes) ? -ENOMEM : __real_sys_madvise(at, bytes, advice);
}

void *__wrap_sys_mremap(void *at, size_t old_bytes, size_t new_bytes, int flags);
void *__wrap_sys_mremap(void *at, size_t old_bytes, size_t new_bytes, int flags) {
    return refuse_this(CALL_MREMAP, old_bytes) ? MAP_FAILED
                                               : __real_sys_mremap(at, old_bytes, new_bytes, flags);
}

#endif
