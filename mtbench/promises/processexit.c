/* The process ends while others allocate: no crash, no hang, whichever way it ends. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "process.h"
#include "team.h"

static void churn_once(uint64_t *random) {
    void *held[32];
    for (int i = 0; i < 32; i++) {
        held[i] = heap.malloc(block_size_draw(random, 64 * KIB));
    }
    for (int i = 0; i < 32; i++) {
        heap.free(held[i]);
    }
}

static void *churn_forever(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (;;) {
        churn_once(&random);
    }
    return NULL;
}

static void start_churn(size_t threads) {
    for (size_t i = 0; i < threads; i++) {
        thread_start(churn_forever, (void *)(i + 1));
    }
}

static void exit_handler(void) {
    uint64_t random = 4;
    for (int i = 0; i < 200; i++) {
        churn_once(&random);
    }
}

static void leave_by_exit(void *argument) {
    start_churn(4);
    atexit(exit_handler);
    sleep_milliseconds((unsigned)(uintptr_t)argument);
    exit(EXIT_KEPT);
}

static void leave_at_once(void *argument) {
    start_churn(4);
    sleep_milliseconds((unsigned)(uintptr_t)argument);
    _exit(EXIT_KEPT);
}

static void *last_thread(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 500; i++) {
        churn_once(&random);
    }
    return NULL;
}

/* The process ends when its last thread does, with exit code 0. */
static void main_leaves_first(void *argument) {
    (void)argument;
    struct block block;
    block_take(&block, BY_MALLOC, 1000, 1);
    block_drop(&block);
    for (size_t i = 0; i < 4; i++) {
        thread_start(last_thread, (void *)(i + 1));
    }
    pthread_exit(NULL);
}

static void repeat(void (*work)(void *), const char *what) {
    for (size_t i = 0; i < effort(40, 10); i++) {
        child_run(work, (void *)(i % 5), 20, what);
    }
}

static void by_exit(void) {
    repeat(leave_by_exit, "exit() while four threads allocate");
}

static void by_underscore_exit(void) {
    repeat(leave_at_once, "_exit() while four threads allocate");
}

static void by_pthread_exit(void) {
    repeat(main_leaves_first, "pthread_exit() from main");
}

static void *churn_until_cancelled(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (;;) {
        churn_once(&random);
        pthread_testcancel();
    }
    return NULL;
}

/* malloc and free are not cancellation points: a cancelled thread leaves them whole. */
static void cancellation(void) {
    for (size_t i = 0; i < effort(1500, 400); i++) {
        pthread_t thread = thread_start(churn_until_cancelled, (void *)(i + 1));
        if (i % 3 != 0) {
            sleep_milliseconds(i % 2);
        }
        pthread_cancel(thread);
        thread_join(thread);
    }
    struct block block;
    for (size_t bytes = 1; bytes < 1000000; bytes = bytes * 3 + 1) {
        block_take(&block, BY_MALLOC, bytes, 1);
        block_drop(&block);
    }
}

static void exits_from_thread(void *argument) {
    (void)argument;
    atexit(exit_handler);
    exit(EXIT_KEPT);
}

static void *exit_in_thread(void *argument) {
    exits_from_thread(argument);
    return NULL;
}

static void thread_exits_process(void *argument) {
    start_churn(2);
    thread_join(thread_start_with_stack(exit_in_thread, argument, 256 * KIB));
}

static void by_exit_from_thread(void) {
    repeat(thread_exits_process, "exit() from a thread while others allocate");
}

static const struct probe rows[] = {
    ROW("exit", "exit() while others allocate, with an exit handler that allocates", by_exit, SLOW),
    ROW("_exit", "_exit() while others allocate", by_underscore_exit, QUICK),
    ROW("from-thread", "exit() from another thread than main", by_exit_from_thread, SLOW),
    ROW("pthread_exit", "pthread_exit() from main leaves the others working", by_pthread_exit,
        SLOW),
    ROW("cancellation", "cancelled threads leave the allocator whole", cancellation, SLOW),
};

const struct area processexit_area = AREA("processexit", rows);
