/* crew: n threads that do the same work, begun together and all awaited. */
#ifndef CREW_H
#define CREW_H

#include "check.h"

#include <limits.h>
#include <pthread.h>

#define CREW_MOST 2048

struct crew_member {
    pthread_t thread;
    pthread_barrier_t *start;
    void (*work)(int index);
    int index;
};

static inline void *crew_begin(void *argument) {
    struct crew_member *member = argument;
    pthread_barrier_wait(member->start);
    member->work(member->index);
    return NULL;
}

/* Runs work(0) .. work(n - 1), each in a thread of its own with this much stack, or the least that
 * the C library allows (0: the default). */
static inline void crew_run_with(int n, size_t stack, void (*work)(int index)) {
    struct crew_member members[CREW_MOST]; /* no malloc: it may be a child that runs this */
    pthread_barrier_t start;
    pthread_attr_t attributes;
    CHECK(n <= CREW_MOST);
    CHECK(pthread_barrier_init(&start, NULL, (unsigned)n) == 0);
    CHECK(pthread_attr_init(&attributes) == 0);
    if (stack != 0) {
        stack = stack < (size_t)PTHREAD_STACK_MIN ? (size_t)PTHREAD_STACK_MIN : stack;
        CHECK(pthread_attr_setstacksize(&attributes, stack) == 0);
    }
    for (int i = 0; i < n; i++) {
        members[i] = (struct crew_member){.start = &start, .work = work, .index = i};
        CHECK(pthread_create(&members[i].thread, &attributes, crew_begin, &members[i]) == 0);
    }
    for (int i = 0; i < n; i++) {
        CHECK(pthread_join(members[i].thread, NULL) == 0);
    }
    pthread_attr_destroy(&attributes);
    pthread_barrier_destroy(&start);
}

static inline void crew_run(int n, void (*work)(int index)) {
    crew_run_with(n, 0, work);
}

#endif
