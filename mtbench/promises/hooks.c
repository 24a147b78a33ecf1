/* Malloc beside a library that stands in libc's calls and allocates there. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "plugins.h"
#include "process.h"
#include "team.h"

enum { PATIENCE_S = 20, HELD = 400 };

static void *churn(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct block held[HELD] = {0};
    for (int round = 0; round < 1500; round++) {
        struct block *block = &held[random_below(&random, HELD)];
        block_drop(block);
        block_take(block, (enum kind)random_below(&random, KINDS),
                   block_size_draw(&random, round % 128 == 0 ? 3 * MIB : 32 * KIB), 1);
    }
    for (size_t i = 0; i < HELD; i++) {
        block_drop(&held[i]);
    }
    return NULL;
}

static void work_arm(void) {
    REQUIRE(heap_symbol("probe_hooked") != NULL, "the hooking library is not loaded");
    churn((void *)1);
    for (size_t round = 0; round < 3; round++) {
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            threads[i] = thread_start(churn, (void *)(2 * round + i + 2));
        }
        for (size_t i = 0; i < 2; i++) {
            thread_join(threads[i]);
        }
        heap.malloc_trim(0);
    }
}

/* The arm hangs, if it does, before its first line. */
static void hook_first(void) {
    alarm(PATIENCE_S);
    plugin_preload_before(probe_current()->subject);
}

static void hook_last(void) {
    alarm(PATIENCE_S);
    plugin_preload_after(probe_current()->subject);
}

static void hooked(void) {
    arm_decides("hooks.work_arm", hook_last);
    arm_decides("hooks.work_arm", hook_first);
}

static void ifunc_arm(void) {
    int (*resolved)(void);
    void *address = heap_symbol("probe_resolved");
    REQUIRE(address != NULL, "the library with the resolver is not loaded");
    memcpy(&resolved, &address, sizeof resolved);
    REQUIRE(resolved(), "a block taken by an ifunc resolver is lost");
    churn((void *)1);
}

/* Relocated after the malloc, as a program is: a library behind it runs before it exists. */
static void ifunc(void) {
    arm_decides("hooks.ifunc_arm", hook_first);
}

#define HOOKS(NAME, CALLS)                                                                         \
    {NAME,         "another library's hooks of " CALLS " may allocate, preloaded before or after", \
     hooked,       QUICK,                                                                          \
     "hook-" NAME, 0}

static const struct probe rows[] = {
    HOOKS("memory", "mmap, munmap, mprotect, madvise and mremap"),
    HOOKS("clock", "clock_gettime and gettimeofday"),
    HOOKS("threads", "mutexes and thread-specific data"),
    HOOKS("settings", "getenv, secure_getenv and sysconf"),
    HOOKS("files", "open, read, write and close"),
    {"ifunc", "an ifunc resolver may allocate before the process is relocated", ifunc, QUICK,
     "ifunc", 0},
    ROW("work_arm", "", work_arm, HIDDEN),
    ROW("ifunc_arm", "", ifunc_arm, HIDDEN),
};

const struct area hooks_area = AREA("hooks", rows);
