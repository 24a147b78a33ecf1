/*
 * A library that stands before libc in some calls and keeps a record of each, in blocks of malloc:
 * what tracers, fake clocks and leak finders do. HOOK_name, one a library, says which calls.
 * Records are made from the first call on, before any constructor; a call made while one is being
 * recorded is not recorded, in whichever thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 64 };

atomic_size_t probe_hooked;
atomic_long probe_clock_ahead; /* seconds that the hooked clock is ahead */

static atomic_int recording;
static void *records[RECORDS];

static void record(void) {
    size_t number = atomic_fetch_add(&probe_hooked, 1);
    if (atomic_exchange(&recording, 1) != 0) {
        return;
    }
    int before = errno;
    void **slot = &records[number % RECORDS];
    free(*slot);
    *slot = calloc(1, 24 + number % 100);
    errno = before;
    atomic_store(&recording, 0);
}

static void find_next(const char *name, void *function) {
    void *address = dlsym(RTLD_NEXT, name);
    memcpy(function, &address, sizeof address);
}

/* The call itself, then the record. */
#define HOOK(RESULT, NAME, TYPES, VALUES)                                                          \
    RESULT NAME TYPES;                                                                             \
    RESULT NAME TYPES {                                                                            \
        static RESULT(*next) TYPES;                                                                \
        if (next == NULL) {                                                                        \
            find_next(#NAME, &next);                                                               \
        }                                                                                          \
        RESULT result = next VALUES;                                                               \
        record();                                                                                  \
        return result;                                                                             \
    }

#if defined HOOK_memory
#include <sys/mman.h>

HOOK(void *, mmap, (void *at, size_t bytes, int prot, int flags, int fd, off_t offset),
     (at, bytes, prot, flags, fd, offset))
HOOK(int, munmap, (void *at, size_t bytes), (at, bytes))
HOOK(int, mprotect, (void *at, size_t bytes, int prot), (at, bytes, prot))
HOOK(int, madvise, (void *at, size_t bytes, int advice), (at, bytes, advice))

void *mremap(void *at, size_t bytes, size_t more, int flags, ...) {
    static void *(*next)(void *, size_t, size_t, int, ...);
    va_list rest;
    va_start(rest, flags);
    void *wanted = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
    va_end(rest);
    if (next == NULL) {
        find_next("mremap", &next);
    }
    void *result = next(at, bytes, more, flags, wanted);
    record();
    return result;
}
#elif defined HOOK_clock
#include <sys/time.h>
#include <time.h>

HOOK(int, gettimeofday, (struct timeval * time, void *zone), (time, zone))

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL) {
        find_next("clock_gettime", &next);
    }
    int result = next(clock, time);
    time->tv_sec += atomic_load(&probe_clock_ahead);
    record();
    return result;
}
#elif defined HOOK_threads
#include <pthread.h>

HOOK(int, pthread_mutex_lock, (pthread_mutex_t * lock), (lock))
HOOK(int, pthread_mutex_unlock, (pthread_mutex_t * lock), (lock))
HOOK(int, pthread_key_create, (pthread_key_t * key, void (*end)(void *)), (key, end))
HOOK(int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
#elif defined HOOK_settings
#include <unistd.h>

HOOK(char *, getenv, (const char *name), (name))
HOOK(char *, secure_getenv, (const char *name), (name))
HOOK(long, sysconf, (int name), (name))
#elif defined HOOK_files
#include <fcntl.h>
#include <unistd.h>

HOOK(ssize_t, read, (int fd, void *bytes, size_t count), (fd, bytes, count))
HOOK(ssize_t, write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
HOOK(int, close, (int fd), (fd))

int open(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int); /* read for nothing where there is none */
    va_end(rest);
    if (next == NULL) {
        find_next("open", &next);
    }
    int result = next(path, flags, mode);
    record();
    return result;
}
#endif
