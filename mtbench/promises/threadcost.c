/* What a thread costs beside what it holds; the same threads without malloc are the measure. */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "team.h"

enum { STACK = 32 * KIB, MOST = 2000 };

struct crowd {
    size_t threads;
    void (*work)(void **kept);
    pthread_barrier_t arrived, leave;
    pthread_t *started;
    void **kept;
};

struct member {
    struct crowd *crowd;
    size_t index;
};

static void *one_of_crowd(void *argument) {
    struct member *member = argument;
    struct crowd *crowd = member->crowd;
    crowd->work(&crowd->kept[member->index]);
    pthread_barrier_wait(&crowd->arrived);
    pthread_barrier_wait(&crowd->leave);
    heap.free(crowd->kept[member->index]);
    return NULL;
}

/* How much more is resident while all live, and after all have ended. */
static void measure(size_t threads, void (*work)(void **), size_t *alive, size_t *ended) {
    struct crowd crowd = {.threads = threads, .work = work};
    struct member *members = memory_pages(threads * sizeof *members);
    crowd.started = memory_pages(threads * sizeof *crowd.started);
    crowd.kept = memory_pages(threads * sizeof *crowd.kept);
    memset(members, 0, threads * sizeof *members);
    memset(crowd.started, 0, threads * sizeof *crowd.started);
    memset(crowd.kept, 0, threads * sizeof *crowd.kept);
    pthread_barrier_init(&crowd.arrived, NULL, (unsigned)threads + 1);
    pthread_barrier_init(&crowd.leave, NULL, (unsigned)threads + 1);
    size_t before = memory_resident();
    for (size_t i = 0; i < threads; i++) {
        members[i] = (struct member){&crowd, i};
        crowd.started[i] =
            thread_start_with_stack(one_of_crowd, &members[i], STACK + PTHREAD_STACK_MIN);
    }
    pthread_barrier_wait(&crowd.arrived);
    *alive = memory_resident() - before;
    pthread_barrier_wait(&crowd.leave);
    for (size_t i = 0; i < threads; i++) {
        thread_join(crowd.started[i]);
    }
    heap.malloc_trim(0);
    size_t after = memory_resident();
    *ended = after > before ? after - before : 0;
}

static void rests(void **kept) {
    *kept = NULL;
}

static void holds_a_block(void **kept) {
    *kept = heap.malloc(100);
    REQUIRE(*kept != NULL, "malloc(100) = NULL in a thread");
    memset(*kept, 1, 100);
}

/* Some of each of many sizes, all freed again: what stays is in the thread's cache. */
static void used_many_sizes(void **kept) {
    void *held[40];
    for (size_t s = 0; s < 40; s++) {
        size_t bytes = 16 + s * s * 5;
        held[s] = heap.malloc(bytes);
        REQUIRE(held[s] != NULL, "malloc(%zu) = NULL in a thread", bytes);
        memset(held[s], 1, bytes);
    }
    for (size_t s = 0; s < 40; s++) {
        heap.free(held[s]);
    }
    *kept = NULL;
}

/* More than the same threads cost without malloc: bytes for each. */
static void cost(size_t threads, void (*work)(void **), size_t *alive, size_t *ended) {
    size_t idle_alive, idle_ended;
    heap.free(heap.malloc(100));
    measure(threads, rests, &idle_alive, &idle_ended); /* from here on libc has stacks to reuse */
    measure(threads, rests, &idle_alive, &idle_ended);
    measure(threads, work, alive, ended);
    *alive = *alive > idle_alive ? (*alive - idle_alive) / threads : 0;
    *ended /= threads;
}

static void one_block(void) {
    enum { ALLOWED = 32 * KIB };
    size_t alive, ended;
    cost(effort(MOST, 500), holds_a_block, &alive, &ended);
    REQUIRE(alive <= ALLOWED, "a thread with one block of 100 bytes costs %zu KiB", alive / KIB);
    remark("a thread with one block of 100 bytes costs %zu KiB", alive / KIB);
}

static void many_sizes(void) {
    enum { ALLOWED = 256 * KIB };
    size_t alive, ended;
    cost(effort(MOST, 300), used_many_sizes, &alive, &ended);
    REQUIRE(alive <= ALLOWED, "a thread that freed 40 sizes, 107 KiB in all, costs %zu KiB",
            alive / KIB);
    remark("a thread that freed 40 sizes, 107 KiB in all, costs %zu KiB", alive / KIB);
}

static void ended_threads(void) {
    enum { ALLOWED = 16 * KIB };
    size_t alive, ended;
    cost(effort(MOST, 500), used_many_sizes, &alive, &ended);
    REQUIRE(ended <= ALLOWED, "after malloc_trim %zu KiB stay of each thread that ended",
            ended / KIB);
    remark("after malloc_trim %zu KiB stay of each thread that ended", ended / KIB);
}

static const struct probe rows[] = {
    ROW("one-block", "a thread with one small block costs at most 32 KiB", one_block, SLOW),
    ROW("many-sizes", "a thread that used 40 small sizes and freed all costs at most 256 KiB",
        many_sizes, SLOW),
    ROW("ended", "threads that ended cost nothing after malloc_trim", ended_threads, SLOW),
};

const struct area threadcost_area = AREA("threadcost", rows);
