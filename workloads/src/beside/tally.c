/* How much of a program's time is its malloc's? Preloaded, this counts every call of the malloc
 * family in every thread and process of the program, and times one in PERIOD of each thread's. The
 * C library's malloc does the work. Every name of the family is here, so that a program which links
 * another malloc, where those that are not would be found next, has one heap too.
 *
 * What is counted lies in the file that MTBENCH_TALLY names, mapped by every process, so that
 * nothing is lost with a thread that ends, a process that is killed, or _exit. A thread writes to
 * a slot of its own with plain stores; the file is sparse, and slots that nobody took cost nothing.
 * Without the variable, or a file of that size, nothing is counted.
 *
 * A sample longer than MOST_NS counts as MOST_NS: the thread may have lost its processor. Not
 * counted: what is called before this library's constructor. A process that was made behind the C
 * library's back (clone, _Fork) shares a slot with its parent, and counts of either may be lost. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/lib-names.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define HIDDEN_TLS static __thread __attribute__((tls_model("initial-exec")))

enum {
    PERIOD = 64, /* on average; the distance varies, so that no loop of the program beats with it */
    MOST_NS = 50 * 1000,
    SLOTS = 1 << 16,
    TRIES = 1000, /* of the clock, for its cost */
};

/* A cache line of the file. Slot 0 is the header: `calls` is how many slots were asked for,
 * `sampled_ns` the least that reading the clock twice costs. Others: calls of the allocating
 * functions, of free with a block, bytes asked for, calls timed, their ns. */
struct slot {
    _Atomic uint64_t calls, frees, bytes, sampled, sampled_ns;
    uint64_t unused[3];
};
_Static_assert(sizeof(struct slot) == 64, "read as such by mtbench.trial.tally");

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void *__libc_valloc(size_t bytes);
extern void *__libc_pvalloc(size_t bytes);
extern void __libc_free(void *block);

static struct slot *_Atomic slots; /* SLOTS of them, or NULL: then nothing is counted */
HIDDEN_TLS struct slot *mine;      /* NULL: none taken yet */
HIDDEN_TLS uint32_t until_timed;   /* calls of this thread */
HIDDEN_TLS uint32_t chance;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t cost_of_clock(void) {
    uint64_t least = MOST_NS;
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = now(), took = now() - start;
        least = took < least ? took : least;
    }
    return least;
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
    const size_t size = SLOTS * sizeof(struct slot);
    struct stat found;
    struct slot *at = MAP_FAILED;
    if (fstat(file, &found) == 0 && found.st_size == (off_t)size) {
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    if (at == MAP_FAILED) {
        return;
    }
    if (atomic_load(&at->sampled_ns) == 0) {
        atomic_store(&at->sampled_ns, cost_of_clock());
    }
    pthread_atfork(NULL, NULL, forget);
    slots = at;
}

/* 0 to 2 * PERIOD - 2, each as often. */
static uint32_t pause_calls(void) {
    chance = chance * 1664525 + 1013904223;
    return (chance >> 16) % (2 * PERIOD - 1);
}

/* The caller's slot, NULL if nothing is counted. Those that come when all are taken share the
 * last, and may lose counts. */
static struct slot *own_slot(void) {
    if (mine != NULL) {
        return mine;
    }
    struct slot *first = slots;
    if (first == NULL) {
        return NULL;
    }
    uint64_t place = atomic_fetch_add(&first->calls, 1) + 1;
    mine = &first[place < SLOTS ? place : SLOTS - 1];
    chance = (uint32_t)place;
    until_timed = pause_calls();
    return mine;
}

static void add(_Atomic uint64_t *counter, uint64_t more) {
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + more, memory_order_relaxed);
}

/* The time where a call that was counted is to be timed, else 0. */
static uint64_t start_timed(void) {
    if (until_timed-- != 0) {
        return 0;
    }
    until_timed = pause_calls();
    return now();
}

static uint64_t enter(size_t bytes) {
    struct slot *slot = own_slot();
    if (slot == NULL) {
        return 0;
    }
    add(&slot->calls, 1);
    add(&slot->bytes, bytes);
    return start_timed();
}

static uint64_t enter_free(void) {
    struct slot *slot = own_slot();
    if (slot == NULL) {
        return 0;
    }
    add(&slot->frees, 1);
    return start_timed();
}

static void leave(uint64_t start) {
    if (start == 0) {
        return;
    }
    uint64_t took = now() - start;
    add(&mine->sampled, 1);
    add(&mine->sampled_ns, took < MOST_NS ? took : MOST_NS);
}

PUBLIC void *malloc(size_t bytes) {
    uint64_t start = enter(bytes);
    void *block = __libc_malloc(bytes);
    leave(start);
    return block;
}

PUBLIC void *calloc(size_t count, size_t bytes) {
    uint64_t start = enter(count * bytes);
    void *block = __libc_calloc(count, bytes);
    leave(start);
    return block;
}

PUBLIC void *realloc(void *block, size_t bytes) {
    uint64_t start = enter(bytes);
    void *moved = __libc_realloc(block, bytes);
    leave(start);
    return moved;
}

PUBLIC void *reallocarray(void *block, size_t count, size_t bytes) {
    size_t whole;
    if (__builtin_mul_overflow(count, bytes, &whole)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, whole);
}

PUBLIC void *memalign(size_t alignment, size_t bytes) {
    uint64_t start = enter(bytes);
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

PUBLIC void *valloc(size_t bytes) {
    uint64_t start = enter(bytes);
    void *block = __libc_valloc(bytes);
    leave(start);
    return block;
}

PUBLIC void *pvalloc(size_t bytes) {
    uint64_t start = enter(bytes);
    void *block = __libc_pvalloc(bytes);
    leave(start);
    return block;
}

/* The C library's own, which has no other name, and may not be the next of this one. */
PUBLIC size_t malloc_usable_size(void *block) {
    static size_t (*_Atomic known)(void *);
    size_t (*usable)(void *) = atomic_load_explicit(&known, memory_order_relaxed);
    if (usable == NULL) {
        void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
        usable = (size_t (*)(void *))dlsym(libc, "malloc_usable_size");
        atomic_store_explicit(&known, usable, memory_order_relaxed);
    }
    return usable(block);
}

PUBLIC void free(void *block) {
    if (block == NULL) {
        return;
    }
    uint64_t start = enter_free();
    __libc_free(block);
    leave(start);
}
