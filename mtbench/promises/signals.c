/* Signals in the middle of malloc, and statistics in the middle of everything. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "areas.h"
#include "busy.h"
#include "heap.h"
#include "memory.h"
#include "team.h"

static atomic_size_t arrived;

/* One that left by siglongjmp would be undefined inside malloc; one that only stores is not. */
static void count_signal(int number) {
    (void)number;
    atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
}

static void install(int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    action.sa_flags = flags;
    sigaction(SIGUSR1, &action, NULL);
}

static void storm(int flags) {
    install(flags);
    const pthread_t *threads = busy_begin(BUSY_MOST, 64 * KIB);
    for (size_t i = 0; i < effort(60000, 15000); i++) {
        pthread_kill(threads[i % BUSY_MOST], SIGUSR1);
        if (i % 64 == 0) {
            sleep_milliseconds(0);
        }
    }
    busy_end();
    REQUIRE(atomic_load(&arrived) > 100, "only %zu signals arrived", atomic_load(&arrived));
}

static void plain_storm(void) {
    storm(SA_RESTART);
}

/* Without SA_RESTART an interrupted futex or nanosleep inside malloc sees EINTR. */
static void storm_without_restart(void) {
    storm(0);
}

static void interval_timer(void) {
    struct sigevent event;
    timer_t timer;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    install(SA_RESTART);
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    struct itimerspec period = {{0, 200000}, {0, 200000}};
    timer_settime(timer, 0, &period, NULL);
    busy_begin(BUSY_MOST, 64 * KIB);
    sleep_milliseconds((unsigned)effort(1500, 500));
    busy_end();
    timer_delete(timer);
}

static void statistics_do_not_deadlock(void) {
    FILE *sink = fopen("/dev/null", "w");
    REQUIRE(sink != NULL, "no /dev/null");
    int saved = dup(2);
    REQUIRE(saved >= 0, "dup: %s", strerror(errno));
    dup2(fileno(sink), 2);
    busy_begin(BUSY_MOST, 64 * KIB);
    for (size_t i = 0; i < effort(300, 100); i++) {
        if (heap.malloc_info != NULL) {
            heap.malloc_info(0, sink);
        }
        if (heap.malloc_stats != NULL) {
            heap.malloc_stats();
        }
        heap.malloc_trim(0);
    }
    busy_end();
    dup2(saved, 2);
    fclose(sink);
}

static atomic_int stopping;

static void *ask_statistics(void *argument) {
    FILE *sink = argument;
    while (!atomic_load(&stopping)) {
        if (heap.malloc_info != NULL) {
            heap.malloc_info(0, sink);
        }
        heap.malloc_trim(0);
    }
    return NULL;
}

static void *brief(void *argument) {
    heap.free(heap.malloc((size_t)(uintptr_t)argument % 5000 + 1));
    return NULL;
}

static void statistics_beside_thread_exit(void) {
    FILE *sink = fopen("/dev/null", "w");
    REQUIRE(sink != NULL, "no /dev/null");
    pthread_t asker = thread_start_with_stack(ask_statistics, sink, 256 * KIB);
    for (size_t i = 0; i < effort(3000, 800); i++) {
        thread_join(thread_start(brief, (void *)i));
    }
    atomic_store(&stopping, 1);
    thread_join(asker);
    fclose(sink);
}

static const struct probe rows[] = {
    ROW("storm", "a storm of signals never breaks a concurrent malloc", plain_storm, SLOW),
    ROW("storm-eintr", "the same with handlers that interrupt system calls", storm_without_restart,
        SLOW),
    ROW("timer", "a fast interval timer never breaks a concurrent malloc", interval_timer, SLOW),
    ROW("statistics", "malloc_info, malloc_stats and malloc_trim beside busy threads",
        statistics_do_not_deadlock, SLOW),
    ROW("statistics-exit", "statistics beside threads that start and end",
        statistics_beside_thread_exit, SLOW),
};

const struct area signals_area = AREA("signals", rows);
