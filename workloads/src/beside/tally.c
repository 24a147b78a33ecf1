/* How much of a program's time is its malloc's? Preloaded, this counts every call of the malloc
 * family in every thread and process of the program, and times one in PERIOD of each thread's. The
 * C library's malloc does the work.
 *
 * What is counted lies in the file that MTBENCH_TALLY names, mapped by every process, so that
 * nothing is lost with a thread that ends, a process that is killed, or _exit. A thread writes to
 * a slot of its own with plain stores; the file is sparse, and slots that nobody took cost nothing.
 *
 * A sample longer than MOST_NS counts as MOST_NS: the thread may have lost its processor. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define HIDDEN_TLS static __thread __attribute__((tls_model("initial-exec")))

enum {
    PERIOD = 64, /* a power of two */
    MOST_NS = 50 * 1000,
    SLOTS = 1 << 16,
    TRIES = 1000, /* of the clock, for its cost */
};

/* A cache line of the file. Slot 0 is the header: `calls` is how many slots are taken, itself
 * included, `sampled_ns` the least that reading the clock twice costs. Others: calls of the
 * allocating functions, of free with a block, bytes asked for, calls timed, their ns. */
struct slot {
    _Atomic uint64_t calls, frees, bytes, sampled, sampled_ns;
    uint64_t unused[3];
};
_Static_assert(sizeof(struct slot) == 64, "read as such by mtbench.trial.tally");

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

static struct slot *slots;       /* SLOTS of them, or NULL: then nothing is counted */
HIDDEN_TLS struct slot *mine;    /* NULL: none taken yet */
HIDDEN_TLS unsigned until_timed; /* calls of this thread */

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A child of fork counts in a slot of its own. */
static void forget(void) {
    mine = NULL;
}

static void __attribute__((constructor)) begin(void) {
    const char *path = getenv("MTBENCH_TALLY");
    int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) {
        return;
    }
    void *at = mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at == MAP_FAILED) {
        return;
    }
    uint64_t least = MOST_NS;
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = now(), took = now() - start;
        least = took < least ? took : least;
    }
    struct slot *header = at;
    atomic_store_explicit(&header->sampled_ns, least, memory_order_relaxed);
    pthread_atfork(NULL, NULL, forget);
    slots = at;
}

/* The caller's slot. Those that come when all are taken share the last, and may lose counts. */
static struct slot *take(void) {
    uint64_t place = atomic_fetch_add_explicit(&slots[0].calls, 1, memory_order_relaxed) + 1;
    mine = &slots[place < SLOTS ? place : SLOTS - 1];
    until_timed = PERIOD / 2;
    return mine;
}

static void add(_Atomic uint64_t *counter, uint64_t more) {
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + more, memory_order_relaxed);
}

/* Counts a call. 0, or the time where this call is to be timed. */
static uint64_t enter(_Atomic uint64_t *(*counter)(struct slot *), size_t bytes) {
    if (slots == NULL) {
        return 0;
    }
    struct slot *slot = mine != NULL ? mine : take();
    add(counter(slot), 1);
    add(&slot->bytes, bytes);
    if (until_timed-- != 0) {
        return 0;
    }
    until_timed = PERIOD - 1;
    return now();
}

static void leave(uint64_t start) {
    if (start == 0) {
        return;
    }
    int kept = errno;
    uint64_t took = now() - start;
    add(&mine->sampled, 1);
    add(&mine->sampled_ns, took < MOST_NS ? took : MOST_NS);
    errno = kept;
}

static _Atomic uint64_t *of_calls(struct slot *slot) {
    return &slot->calls;
}

static _Atomic uint64_t *of_frees(struct slot *slot) {
    return &slot->frees;
}

PUBLIC void *malloc(size_t bytes) {
    uint64_t start = enter(of_calls, bytes);
    void *block = __libc_malloc(bytes);
    leave(start);
    return block;
}

PUBLIC void *calloc(size_t count, size_t bytes) {
    uint64_t start = enter(of_calls, count * bytes);
    void *block = __libc_calloc(count, bytes);
    leave(start);
    return block;
}

PUBLIC void *realloc(void *block, size_t bytes) {
    uint64_t start = enter(of_calls, bytes);
    void *moved = __libc_realloc(block, bytes);
    leave(start);
    return moved;
}

PUBLIC void *memalign(size_t alignment, size_t bytes) {
    uint64_t start = enter(of_calls, bytes);
    void *block = __libc_memalign(alignment, bytes);
    leave(start);
    return block;
}

PUBLIC void *aligned_alloc(size_t alignment, size_t bytes) {
    return memalign(alignment, bytes);
}

PUBLIC int posix_memalign(void **block, size_t alignment, size_t bytes) {
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
        return EINVAL;
    }
    int kept = errno;
    void *found = memalign(alignment, bytes);
    errno = kept;
    if (found == NULL) {
        return ENOMEM;
    }
    *block = found;
    return 0;
}

PUBLIC void free(void *block) {
    if (block == NULL) {
        return;
    }
    uint64_t start = enter(of_frees, 0);
    __libc_free(block);
    leave(start);
}
