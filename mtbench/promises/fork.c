/* fork, at any moment, from any thread: the child can allocate, thread and fork again. */
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "areas.h"
#include "block.h"
#include "busy.h"
#include "memory.h"
#include "pattern.h"
#include "process.h"
#include "team.h"

static void churn(void) {
    struct block held[64] = {0};
    uint64_t random = 1;
    for (int round = 0; round < 400; round++) {
        struct block *block = &held[random_below(&random, 64)];
        block_drop(block);
        block_take(block, (enum kind)random_below(&random, KINDS),
                   block_size_draw(&random, round % 50 == 0 ? 2 * MIB : 32 * KIB), 2);
    }
    for (size_t i = 0; i < 64; i++) {
        block_drop(&held[i]);
    }
}

static void *churn_thread(void *argument) {
    (void)argument;
    churn();
    return NULL;
}

static void child_allocates(void *argument) {
    (void)argument;
    churn();
}

static void child_threads(void *argument) {
    (void)argument;
    churn();
    for (int i = 0; i < 3; i++) {
        thread_join(thread_start(churn_thread, NULL));
    }
}

static void child_forks(void *argument) {
    size_t depth = (size_t)(uintptr_t)argument;
    churn();
    if (depth > 0) {
        child_run(child_forks, (void *)(depth - 1), 20, "a nested child");
    }
    churn();
}

/* Forks in the midst of busy threads. */
static void while_busy(void (*work)(void *), void *argument, const char *what) {
    busy_begin(BUSY_MOST, 32 * KIB);
    for (size_t i = 0; i < effort(100, 25); i++) {
        child_run(work, argument, 20, what);
    }
    busy_end();
}

static void from_busy(void) {
    while_busy(child_allocates, NULL, "the child of a busy process");
}

static void child_starts_threads(void) {
    while_busy(child_threads, NULL, "a child that starts threads");
}

static void nested(void) {
    while_busy(child_forks, (void *)3, "a child that forks");
}

static void fork_in_thread(size_t index, void *argument) {
    (void)index;
    (void)argument;
    for (size_t i = 0; i < effort(25, 6); i++) {
        child_run(child_threads, NULL, 20, "a child of one of several forking threads");
        churn();
    }
}

static void from_threads(void) {
    team_run(4, fork_in_thread, NULL);
}

static struct block atfork_blocks[3];

static void renew(struct block *block) {
    block_drop(block);
    block_take(block, BY_MALLOC, 3000, 3);
    churn();
}

static void prepare(void) {
    renew(&atfork_blocks[0]);
}

static void parent(void) {
    renew(&atfork_blocks[1]);
}

static void child(void) {
    renew(&atfork_blocks[2]);
}

static void child_exits(void *argument) {
    (void)argument;
    churn();
    exit(EXIT_KEPT); /* with the exit handlers the parent has put up */
}

static void atfork_handlers(void) {
    pthread_atfork(prepare, parent, child);
    while_busy(child_allocates, NULL, "a child with atfork handlers that allocate");
}

static void exit_handlers(void) {
    atexit(churn);
    while_busy(child_exits, NULL, "a child with an exit handler that allocates");
}

static struct block *shared_view;
enum { VIEW = 2000 };

static void child_overwrites(void *argument) {
    (void)argument;
    for (size_t i = 0; i < VIEW; i++) {
        block_check(&shared_view[i]);
        if (i % 2 == 0) {
            memset(shared_view[i].at, 0xee, shared_view[i].bytes);
        } else {
            block_drop(&shared_view[i]);
        }
    }
    churn();
}

static void own_memory(void) {
    uint64_t random = 12;
    shared_view = memory_pages(VIEW * sizeof *shared_view);
    for (size_t i = 0; i < VIEW; i++) {
        block_take(&shared_view[i], (enum kind)(i % KINDS),
                   block_size_draw(&random, i % 100 == 0 ? 2 * MIB : 16 * KIB), 1);
    }
    for (int round = 0; round < 5; round++) {
        child_run(child_overwrites, NULL, 20, "a child that writes its own copy");
        for (size_t i = 0; i < VIEW; i++) {
            block_check(&shared_view[i]);
        }
    }
    for (size_t i = 0; i < VIEW; i++) {
        block_drop(&shared_view[i]);
    }
}

static void parent_does_not_grow(void) {
    size_t settled = 0, settled_virtual = 0, forks = effort(1000, 300);
    for (size_t i = 0; i < forks; i++) {
        child_run(child_allocates, NULL, 20, "a child");
        churn();
        if (i == forks / 4) {
            settled = memory_resident();
            settled_virtual = memory_virtual();
        }
    }
    size_t now = memory_resident(), now_virtual = memory_virtual();
    REQUIRE(now < settled + (size_t)16 * MIB, "%zu forks left %zu MiB more resident",
            forks - forks / 4, (now - settled) / MIB);
    REQUIRE(now_virtual < settled_virtual + (size_t)64 * MIB,
            "%zu forks made the address space %zu MiB larger", forks - forks / 4,
            (now_virtual - settled_virtual) / MIB);
}

/* Runs /bin/true by each of libc's ways, from several threads that also allocate. */
static void spawn_work(size_t index, void *argument) {
    char *const arguments[] = {"true", NULL};
    void (*way)(char *const *) = NULL;
    memcpy(&way, argument, sizeof way);
    for (size_t i = 0; i < effort(30, 8); i++) {
        churn();
        way(arguments);
    }
    (void)index;
}

static void await_true(pid_t process, const char *name) {
    int status = 0;
    REQUIRE(waitpid(process, &status, 0) == process && status == 0, "%s: status %#x", name,
            (unsigned)status);
}

static void spawn_way(char *const *arguments) {
    pid_t process;
    int error = posix_spawnp(&process, "true", NULL, NULL, arguments, environ);
    REQUIRE(error == 0, "posix_spawn: %s", strerror(error));
    await_true(process, "posix_spawn");
}

static void vfork_way(char *const *arguments) {
    pid_t process = vfork();
    if (process == 0) {
        execvp("true", arguments);
        _exit(3);
    }
    await_true(process, "vfork");
}

static void system_way(char *const *arguments) {
    int status = system(arguments[0]);
    REQUIRE(status == 0, "system: status %#x", (unsigned)status);
}

static void by_spawn(void) {
    void (*way)(char *const *) = spawn_way;
    team_run(4, spawn_work, &way);
}

static void by_vfork(void) {
    void (*way)(char *const *) = vfork_way;
    team_run(4, spawn_work, &way);
}

static void by_system(void) {
    void (*way)(char *const *) = system_way;
    team_run(4, spawn_work, &way);
}

static const struct probe rows[] = {
    ROW("busy", "the child of a busy process can allocate", from_busy, SLOW),
    ROW("child-threads", "the child of a busy process can start threads", child_starts_threads,
        SLOW),
    ROW("nested", "the child of a busy process can fork, three deep", nested, SLOW),
    ROW("from-threads", "several threads fork at once", from_threads, SLOW),
    ROW("atfork", "atfork handlers may allocate", atfork_handlers, SLOW),
    ROW("exit-handlers", "a child's exit handlers may allocate", exit_handlers, SLOW),
    ROW("own-memory", "a child's memory is its own", own_memory, QUICK),
    ROW("parent-steady", "forked children do not grow the parent", parent_does_not_grow, SLOW),
    ROW("posix_spawn", "posix_spawn from threads", by_spawn, SLOW),
    ROW("vfork", "vfork and exec from threads", by_vfork, SLOW),
    ROW("system", "system() from threads", by_system, SLOW),
};

const struct area fork_area = AREA("fork", rows);
