/* hooks: another library may stand before libc's functions, and allocate there.
 *
 * Linked so that what the allocator calls of libc comes here first; each of these allocates, as a
 * library does that keeps a record of what it sees. Whoever waited for itself would hang.
 */
#define _GNU_SOURCE
#include "base/config.h"
#include "check.h"
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

static _Thread_local bool inside;
static _Atomic int to_kernel, to_libc;

static void record(_Atomic int *seen) {
    static _Thread_local void *kept[64];
    static _Thread_local unsigned next;
    /* A sanitizer's runtime is to see the calls about memory: there they do go through libc. */
    if (!inside && !(SANITIZED && seen == &to_kernel)) {
        inside = true;
        atomic_fetch_add(seen, 1);
        /* All sizes, and as many as it takes to come to the slow paths. */
        for (int i = 0; i < 10; i++) {
            void **place = &kept[next++ % 64];
            hak_free(*place);
            *place = hak_calloc(1, (size_t)40 << next % 16);
            CHECK(*place != NULL);
        }
        inside = false;
    }
}

#define HOOK(type, name, parameters, arguments, seen)                                              \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters {                                                                \
        record(seen);                                                                              \
        return __real_##name arguments;                                                            \
    }

HOOK(void *, mmap, (void *a, size_t n, int p, int f, int fd, off_t o), (a, n, p, f, fd, o),
     &to_kernel)
HOOK(int, munmap, (void *a, size_t n), (a, n), &to_kernel)
HOOK(int, mprotect, (void *a, size_t n, int p), (a, n, p), &to_kernel)
HOOK(int, madvise, (void *a, size_t n, int advice), (a, n, advice), &to_kernel)
HOOK(void *, mremap, (void *a, size_t n, size_t m, int f), (a, n, m, f), &to_kernel)
HOOK(long, syscall, (long n, long a, long b, long c, long d, long e, long f), (n, a, b, c, d, e, f),
     &to_kernel)
HOOK(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n), &to_kernel)
HOOK(int, clock_gettime, (clockid_t clock, struct timespec *t), (clock, t), &to_kernel)
HOOK(int, getrlimit, (int resource, struct rlimit *limit), (resource, limit), &to_kernel)
HOOK(int, getrusage, (int who, struct rusage *usage), (who, usage), &to_kernel)
HOOK(int, sched_yield, (void), (), &to_kernel)
HOOK(int, pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end), &to_libc)
HOOK(int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value), &to_libc)
HOOK(int, pthread_atfork, (void (*a)(void), void (*b)(void), void (*c)(void)), (a, b, c), &to_libc)
HOOK(int, pthread_mutex_init, (pthread_mutex_t * m, const pthread_mutexattr_t *a), (m, a), &to_libc)
HOOK(int, pthread_mutex_lock, (pthread_mutex_t * m), (m), &to_libc)
HOOK(int, pthread_mutex_unlock, (pthread_mutex_t * m), (m), &to_libc)

static void work(int index) {
    unsigned long long state = (unsigned long long)index + 9;
    struct parcel held[64] = {{0}};
    for (uint32_t step = 0; step < 5000; step++) {
        struct parcel *parcel = &held[check_random(&state) % 64];
        if (parcel->block != NULL) {
            parcel_end(parcel);
        }
        size_t size = step % 1000 == 0 ? (size_t)34 << 20 : parcel_size(&state);
        *parcel = (struct parcel){hak_malloc(size), size < 100 ? size : 100, 1, step};
        CHECK(parcel->block != NULL);
        parcel_fill(parcel);
    }
    for (int i = 0; i < 64; i++) {
        if (held[i].block != NULL) {
            parcel_end(&held[i]);
        }
    }
}

PROMISE(a_start_whose_calls_allocate_comes_to_an_end) {
    /* It was before main, or this would not run. */
    CHECK(atomic_load(&to_libc) > 0);
}

PROMISE(threads_begin_and_end_while_their_calls_allocate) {
    int before = atomic_load(&to_libc);
    crew_run(4, work);
    CHECK(config.check || atomic_load(&to_libc) > before);
}

PROMISE(memory_and_the_clock_are_asked_of_the_kernel_alone) {
    if (SANITIZED) {
        return; /* whose runtime is to see the calls about memory */
    }
    work(1);
    hak_trim();
    CHECK_EQUAL(atomic_load(&to_kernel), 0);
}
