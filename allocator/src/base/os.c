#define _GNU_SOURCE
#include "base/os.h"
#include "base/syscall.h"
#include "base/vdso.h"
#include "base/witness.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/auxv.h>

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

/* Places tried for a mapping of an alignment, before one as much longer is cut to fit. */
#define PLACES 16

#define USABLE (PROT_READ | PROT_WRITE)
#define OURS (MAP_PRIVATE | MAP_ANONYMOUS)

static size_t page = PAGE;

size_t os_page(void) {
    return page;
}

enum os_answer os_map_at(void *at, size_t bytes) {
    witness_no_lock();
    void *got = sys_mmap(at, bytes, USABLE, OURS | MAP_FIXED_NOREPLACE);
    if (sys_is_error(got)) {
        return got == sys_error(EEXIST) ? OS_TAKEN : OS_REFUSED;
    }
    if (got != at) {
        sys_munmap(got, bytes);
        return OS_TAKEN;
    }
    return OS_DONE;
}

uintptr_t os_place(void) {
    void *at = sys_mmap(NULL, PAGE, PROT_NONE, OURS | MAP_NORESERVE);
    if (sys_is_error(at)) {
        return 0;
    }
    sys_munmap(at, PAGE);
    return (uintptr_t)at;
}

/* Maps more and gives the ends back. What is given back never counts as memory. */
static char *map_wide(size_t bytes, size_t alignment) {
    if (bytes + alignment < bytes) {
        return NULL;
    }
    char *wide = sys_mmap(NULL, bytes + alignment, PROT_NONE, OURS | MAP_NORESERVE);
    if (sys_is_error(wide)) {
        return NULL;
    }
    char *at = (char *)align_up((uintptr_t)wide, alignment);
    size_t before = (size_t)(at - wide);
    if (before != 0) {
        sys_munmap(wide, before);
    }
    sys_munmap(at + bytes, alignment - before);
    if (sys_mprotect(at, bytes, USABLE) != 0) {
        sys_munmap(at, bytes);
        return NULL;
    }
    return at;
}

void *os_map(size_t bytes, size_t alignment) {
    witness_no_lock();
    if (bytes > PTRDIFF_MAX) {
        return NULL;
    }
    bytes = align_up(bytes, page);
    char *at = sys_mmap(NULL, bytes, USABLE, OURS);
    if (sys_is_error(at)) {
        return NULL;
    }
    if ((uintptr_t)at & (alignment - 1)) {
        /* Not aligned by luck: just below there is most likely room, or a little further. */
        sys_munmap(at, bytes);
        at -= (uintptr_t)at & (alignment - 1);
        for (int i = 0; i < PLACES && alignment <= NEAR; i++) {
            char *below = at - (size_t)i * alignment;
            if (below < at + 1 && os_map_at(below, bytes) == OS_DONE) {
                return below;
            }
        }
        at = map_wide(bytes, alignment);
    }
    return at;
}

/* Follows an advice that ends pages; *proven once they were seen to go. An emulator may take any
 * advice for a hint and say yes to it (qemu-user before 7.1 to all, later ones to the second), and
 * memory that stayed would be taken for zero. */
static int end_pages(void *at, size_t bytes, int advice, _Atomic bool *proven) {
    if (bytes == 0 || atomic_load_explicit(proven, memory_order_relaxed)) {
        return sys_madvise(at, bytes, advice);
    }
    volatile char *first = at;
    char was = *first;
    *first = 1;
    int result = sys_madvise(at, bytes, advice);
    if (*first == 0) {
        atomic_store_explicit(proven, true, memory_order_relaxed);
        return sys_madvise(at, bytes, advice); /* the page that was looked at, too */
    }
    *first = was;
    return result == 0 ? -EINVAL : result;
}

/* The kernel takes the rest of the last page for meant, too. */
static bool whole_pages(const void *at, size_t bytes) {
    return (((uintptr_t)at | bytes) & (page - 1)) == 0;
}

bool os_purge(void *at, size_t bytes) {
    static _Atomic bool plain, locked;
    witness_no_lock();
    if (!whole_pages(at, bytes)) {
        return false;
    }
    int result = end_pages(at, bytes, MADV_DONTNEED, &plain);
    return result == 0 ||
           (result == -EINVAL && end_pages(at, bytes, MADV_DONTNEED_LOCKED, &locked) == 0);
}

void os_advise_huge(void *at, size_t bytes) {
    witness_no_lock();
    sys_madvise(at, bytes, MADV_HUGEPAGE);
}

void os_advise_small(void *at, size_t bytes) {
    witness_no_lock();
    sys_madvise(at, bytes, MADV_NOHUGEPAGE);
}

bool os_is_written(const void *word) {
    return sys_futex_compare(word, 0) == -EAGAIN;
}

bool os_wipe_on_fork(void *at, size_t bytes) {
    return whole_pages(at, bytes) && sys_madvise(at, bytes, MADV_WIPEONFORK) == 0;
}

bool os_unmap(void *at, size_t bytes) {
    witness_no_lock();
    return sys_munmap(at, bytes) == 0;
}

void *os_remap(void *at, size_t old_bytes, size_t new_bytes) {
    witness_no_lock();
    void *moved = sys_mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE);
    return sys_is_error(moved) ? NULL : moved;
}

static int (*vdso_clock)(clockid_t clock, struct timespec *out);

void os_init(void) {
    page = getauxval(AT_PAGESZ);
#if defined(__aarch64__)
    vdso_clock = vdso_symbol("__kernel_clock_gettime");
#else
    vdso_clock = vdso_symbol("__vdso_clock_gettime");
#endif
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
