/* Programs that forbid themselves or malloc much: system calls, the cycle counter, stack, handlers
 * of fork. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "process.h"
#include "seccomp.h"
#include "team.h"

/* Bursts with rests between them, some seconds in all: what a malloc does now and then for itself
 * falls into it. */
enum { BURSTS = 12, REST_MS = 200, HELD = 200 };

struct holder {
    void *held[HELD];
    uint64_t random;
};

/* On any stack, with no call but malloc's own: nothing is checked here but NULL. Returns how many
 * calls were refused. */
static size_t burst(struct holder *holder) {
    size_t refused = 0;
    for (int call = 0; call < 4000; call++) {
        void **slot = &holder->held[random_below(&holder->random, HELD)];
        size_t bytes = 1 + random_below(&holder->random, call % 50 == 0 ? 3 * MIB : 3 * KIB);
        switch (call % 8) {
        case 0:
            *slot = heap.realloc(*slot, bytes);
            break;
        case 1:
            heap.free(*slot);
            *slot = heap.memalign(256, bytes);
            break;
        case 2:
            heap.free(*slot);
            *slot = heap.calloc(1, bytes);
            break;
        default:
            heap.free(*slot);
            *slot = heap.malloc(bytes);
        }
        if (*slot == NULL) {
            refused++;
        } else {
            *(char *)*slot = 1;
        }
    }
    return refused;
}

static void bursts(struct holder *holder) {
    for (size_t i = 0; i < effort(2 * BURSTS, BURSTS); i++) {
        size_t refused = burst(holder);
        REQUIRE(refused == 0, "%zu calls were refused", refused);
        sleep_milliseconds(REST_MS);
    }
}

static void filter_arm(void) {
    static struct holder holder = {.random = 1};
    heap.free(heap.malloc(10));
    seccomp_only_for_malloc();
    bursts(&holder);
    _exit(EXIT_KEPT); /* what exit handlers may do is another promise */
}

static void filter(void) {
    arm_decides("sandbox.filter_arm", NULL);
}

enum { WORKERS = 3 };

static pthread_barrier_t filtered;
static atomic_size_t finished;

static _Noreturn void *work_filtered(void *argument) {
    struct holder *holder = argument;
    heap.free(heap.malloc(10));
    pthread_barrier_wait(&filtered); /* all have started */
    pthread_barrier_wait(&filtered); /* the filter is on */
    bursts(holder);
    atomic_fetch_add(&finished, 1);
    for (;;) {
        sleep_milliseconds(1000); /* the end of a thread makes calls of its own */
    }
}

/* The blocks of one thread are freed by another as well. */
static void filter_threads_arm(void) {
    static struct holder holders[WORKERS];
    static void *given[1000];
    pthread_barrier_init(&filtered, NULL, WORKERS + 1);
    for (size_t i = 0; i < WORKERS; i++) {
        holders[i].random = i + 1;
        thread_start(work_filtered, &holders[i]);
    }
    for (size_t i = 0; i < 1000; i++) {
        given[i] = heap.malloc(i * 8);
    }
    heap.malloc_trim(0); /* libc's own, where the malloc has none, begins with calls of its own */
    pthread_barrier_wait(&filtered);
    seccomp_only_for_malloc();
    for (size_t i = 0; i < HELD; i++) {
        holders[i % WORKERS].held[i] = given[i];
    }
    pthread_barrier_wait(&filtered);
    while (atomic_load(&finished) < WORKERS) {
        sleep_milliseconds(10);
    }
    heap.malloc_trim(0);
    _exit(EXIT_KEPT);
}

static void filter_threads(void) {
    arm_decides("sandbox.filter_threads_arm", NULL);
}

static void without_cycle_counter(void) {
#if defined __x86_64__
    static struct holder holder = {.random = 2};
    heap.free(heap.malloc(10));
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0) {
        inapplicable("the kernel does not forbid rdtsc: %s", strerror(errno));
    }
    bursts(&holder);
    _exit(EXIT_KEPT);
#else
    inapplicable("this machine has no rdtsc");
#endif
}

static ucontext_t outside, inside;
static struct holder small_holder = {.random = 3};
static size_t small_refused;

static void on_small_stack(void) {
    for (;;) {
        small_refused += burst(&small_holder);
        swapcontext(&inside, &outside);
    }
}

/* A coroutine's stack of one page, above a page that nobody may touch. */
static void one_page_of_stack(void) {
    enum { STACK = 4 * KIB };
    size_t guard = memory_page();
    char *stack = mmap(NULL, guard + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(stack != MAP_FAILED && mprotect(stack + guard, STACK, PROT_READ | PROT_WRITE) == 0,
            "no stack: %s", strerror(errno));
    heap.free(heap.malloc(10));
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack + guard;
    inside.uc_stack.ss_size = STACK;
    makecontext(&inside, on_small_stack, 0);
    for (size_t i = 0; i < effort(2 * BURSTS, BURSTS); i++) {
        swapcontext(&outside, &inside);
        sleep_milliseconds(REST_MS);
    }
    REQUIRE(small_refused == 0, "%zu calls were refused", small_refused);
}

static atomic_int stopping;

/* In and out of the malloc's slow paths, so that a fork meets it there. */
static void *busy(void *argument) {
    struct holder *holder = argument;
    while (!atomic_load(&stopping)) {
        void **slot = &holder->held[random_below(&holder->random, HELD)];
        heap.free(*slot);
        *slot = heap.malloc(random_below(&holder->random, 40 * KIB));
    }
    return NULL;
}

/* What any child may do, by a function that returns its exit code; runs after alarm(). */
static int child_work(void *argument) {
    static void *held[200];
    (void)argument;
    alarm(20);
    for (size_t i = 0; i < 200; i++) {
        held[i] = heap.malloc(i * 50);
    }
    for (size_t i = 0; i < 200; i++) {
        if (held[i] == NULL) {
            _exit(EXIT_BROKEN);
        }
        memset(held[i], 1, i * 50);
        heap.free(held[i]);
    }
    _exit(EXIT_KEPT);
}

/* As fork does it, but by the bare system call: nobody's handlers run. */
static pid_t bare_fork(void) {
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        child_work(NULL);
    }
    return child;
}

static pid_t bare_clone(void) {
    static char stack[64 * KIB] __attribute__((aligned(16)));
    return clone(child_work, stack + sizeof stack, SIGCHLD, NULL);
}

/* Of several, as one alone is seldom in the middle of something when the child is made. */
static void beside_busy_threads(pid_t (*start)(void)) {
    enum { BUSY = 4 };
    static struct holder holders[BUSY];
    pthread_t threads[BUSY];
    for (size_t i = 0; i < BUSY; i++) {
        holders[i].random = i + 4;
        threads[i] = thread_start(busy, &holders[i]);
    }
    heap.free(heap.malloc(10));
    for (size_t i = 0; i < effort(600, 200); i++) {
        char how[64];
        int status = 0;
        pid_t child = start();
        REQUIRE(child > 0, "no child: %s", strerror(errno));
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
            continue;
        }
        status_describe(status, how, sizeof how);
        REQUIRE(status == 0, "child %zu ended by %s", i, how);
        probe_alive();
    }
    atomic_store(&stopping, 1);
    for (size_t i = 0; i < BUSY; i++) {
        thread_join(threads[i]);
    }
}

static void raw_fork(void) {
    beside_busy_threads(bare_fork);
}

static void raw_clone(void) {
    beside_busy_threads(bare_clone);
}

static const struct probe rows[] = {
    ROW("filter", "malloc makes no system call that glibc's does not need, or a filter kills",
        filter, SLOW),
    ROW("filter-threads", "nor in a process of several threads", filter_threads, SLOW),
    ROW("cycle-counter", "malloc works where reading the cycle counter is forbidden",
        without_cycle_counter, SLOW),
    ROW("one-page-stack", "malloc works on a coroutine's stack of 4 KiB", one_page_of_stack, SLOW),
    ROW("raw-fork", "a child of the bare system call may allocate, whatever other threads did",
        raw_fork, SLOW),
    ROW("clone", "a child of clone may allocate, whatever other threads did", raw_clone, SLOW),
    ROW("filter_arm", "", filter_arm, HIDDEN),
    ROW("filter_threads_arm", "", filter_threads_arm, HIDDEN),
};

const struct area sandbox_area = AREA("sandbox", rows);
