#include "team.h"

#include <string.h>
#include <time.h>

#include "memory.h"
#include "probe.h"

enum { TEAM_STACK = 128 * KIB };

struct member {
    pthread_t thread;
    size_t index;
    struct team *team;
};

struct team {
    void (*work)(size_t, void *);
    void *argument;
    pthread_barrier_t start;
};

static void *member_main(void *argument) {
    struct member *member = argument;
    pthread_barrier_wait(&member->team->start);
    member->team->work(member->index, member->team->argument);
    return NULL;
}

pthread_t thread_start_with_stack(void *(*work)(void *), void *argument, size_t stack_bytes) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    int error = pthread_attr_setstacksize(&attributes, stack_bytes);
    REQUIRE(error == 0, "a stack of %zu bytes is refused: %s", stack_bytes, strerror(error));
    error = pthread_create(&thread, &attributes, work, argument);
    REQUIRE(error == 0, "pthread_create: %s", strerror(error));
    pthread_attr_destroy(&attributes);
    return thread;
}

pthread_t thread_start(void *(*work)(void *), void *argument) {
    return thread_start_with_stack(work, argument, TEAM_STACK);
}

void thread_join(pthread_t thread) {
    int error = pthread_join(thread, NULL);
    REQUIRE(error == 0, "pthread_join: %s", strerror(error));
}

void team_run(size_t threads, void (*work)(size_t, void *), void *argument) {
    struct team team = {.work = work, .argument = argument};
    struct member *members = memory_pages(threads * sizeof *members);
    pthread_barrier_init(&team.start, NULL, (unsigned)threads);
    for (size_t i = 0; i < threads; i++) {
        members[i].index = i;
        members[i].team = &team;
        members[i].thread = thread_start(member_main, &members[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        thread_join(members[i].thread);
    }
    pthread_barrier_destroy(&team.start);
}

void sleep_milliseconds(unsigned milliseconds) {
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
        continue;
    }
}
