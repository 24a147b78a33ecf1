/* fork: from a busy process the child gets an allocator that works and memory of its own. */
#include "base/config.h"
#include "child.h"
#include "crew.h"
#include "hakmem.h"
#include "pages/runs.h"
#include "parcel.h"
#include "stores/bins.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define BUSY 4

static pthread_t busy[BUSY];
static _Atomic int stopping;

static void *be_busy(void *argument) {
    unsigned long long state = (unsigned long long)(uintptr_t)argument + 1;
    struct parcel held[64] = {{0}};
    for (uint32_t step = 0; !atomic_load_explicit(&stopping, memory_order_relaxed); step++) {
        struct parcel *parcel = &held[check_random(&state) % 64];
        if (parcel->block != NULL) {
            parcel_end(parcel);
        } else {
            size_t size = step % 500 == 0 ? (size_t)33 << 20 : parcel_size(&state);
            *parcel = size > (1 << 20) ? (struct parcel){hak_malloc(size), 100, 1, step}
                                       : parcel_make(size, 1, step);
            CHECK(parcel->block != NULL);
            parcel_fill(parcel);
        }
    }
    for (int i = 0; i < 64; i++) {
        if (held[i].block != NULL) {
            parcel_end(&held[i]);
        }
    }
    return NULL;
}

static void busy_begin(void) {
    atomic_store(&stopping, 0);
    for (uintptr_t i = 0; i < BUSY; i++) {
        CHECK(pthread_create(&busy[i], NULL, be_busy, (void *)i) == 0);
    }
}

static void busy_end(void) {
    atomic_store(&stopping, 1);
    for (int i = 0; i < BUSY; i++) {
        CHECK(pthread_join(busy[i], NULL) == 0);
    }
}

/* Takes blocks of many classes, enough to draw on bins, stores and spans, and sees that no two are
 * one. */
static void allocate_much(int index) {
    enum { HELD = 250 };
    struct parcel held[HELD]; /* a sanitizer's own malloc does not survive a fork */
    unsigned long long state = (unsigned long long)index + 21;
    CHECK(held != NULL);
    for (uint32_t i = 0; i < HELD; i++) {
        held[i] = parcel_make(check_random(&state) % (i % 50 == 0 ? 300000 : 9000),
                              (uint32_t)getpid(), i);
    }
    for (int i = 0; i < HELD; i++) {
        parcel_end(&held[i]);
    }
}

/* In a child. ThreadSanitizer's table there still holds the parent's threads, and it ends the
 * process when a new one gets the stack, and so the name, of one of those: no threads then. */
static void child_crew(int threads) {
#ifdef __SANITIZE_THREAD__
    allocate_much(threads);
#else
    crew_run(threads, allocate_much);
#endif
}

static void check_ended(pid_t child) {
    int status;
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child) {
        CHECK(errno == EINTR);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct parcel inherited[100];

PROMISE(a_child_of_a_busy_process_allocates_and_keeps_what_it_inherited) {
    for (uint32_t i = 0; i < 100; i++) {
        inherited[i] = parcel_make((size_t)i * 91, 3, i);
    }
    busy_begin();
    for (int round = 0; round < (SANITIZED ? 5 : 12); round++) {
        pid_t child = fork();
        if (child == 0) {
            allocate_much(round);
            for (int i = 0; i < 100; i++) {
                parcel_end(&inherited[i]);
            }
            allocate_much(round + 1);
            hak_trim();
            _Exit(0);
        }
        check_ended(child);
    }
    busy_end();
    for (int i = 0; i < 100; i++) {
        parcel_end(&inherited[i]);
    }
}

PROMISE(a_child_of_a_busy_process_runs_threads) {
    busy_begin();
    for (int round = 0; round < (SANITIZED ? 2 : 4); round++) {
        pid_t child = fork();
        if (child == 0) {
            child_crew(6);
            child_crew(6);
            _Exit(0);
        }
        check_ended(child);
    }
    busy_end();
}

static void fork_down(int depth) {
    allocate_much(depth);
    if (depth > 0) {
        pid_t child = fork();
        if (child == 0) {
            fork_down(depth - 1);
            _Exit(0);
        }
        child_crew(2);
        check_ended(child);
    }
}

PROMISE(children_fork_too) {
    busy_begin();
    fork_down(3);
    busy_end();
}

static void fork_often(int index) {
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            allocate_much(index);
            _Exit(0);
        }
        allocate_much(index);
        check_ended(child);
    }
}

PROMISE(several_threads_fork_at_once) {
    busy_begin();
    crew_run(4, fork_often);
    busy_end();
}

/* A fork that no handler is told of. A sanitizer's own runtime does not live through it. */
static pid_t fork_unannounced(void) {
    return SANITIZED ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static struct parcel inherited_huge, inherited_run;

/* What a child needs first of all that is shared. */
enum { SMALL_BLOCKS, HUGE_BLOCK, LONG_RUN, TRIM, FIRSTS };

static void start_afresh(int first) {
    alarm(60);
    switch (first) {
    case SMALL_BLOCKS:
        allocate_much(first);
        break;
    case HUGE_BLOCK:
        parcel_end(&inherited_huge);
        break;
    case LONG_RUN:
        parcel_end(&inherited_run);
        break;
    case TRIM:
        hak_trim();
        break;
    }
    for (int i = 0; i < 100; i++) {
        parcel_end(&inherited[i]);
    }
    allocate_much(first + 1);
    if (first != HUGE_BLOCK) {
        unsigned char *moved = hak_realloc(inherited_huge.block, 60 << 20);
        parcel_check_at(&inherited_huge, moved, PAGE);
        hak_free(moved);
    }
    if (first != LONG_RUN) {
        unsigned char *longer = hak_realloc(inherited_run.block, 5 << 20);
        unsigned char *shorter = hak_realloc(longer, 3 << 20);
        parcel_check_at(&inherited_run, shorter, PAGE);
        hak_free(shorter);
    }
    hak_free(hak_malloc(40 << 20));
    hak_trim();
    allocate_much(first + 2);
}

PROMISE(a_child_that_nobody_announced_starts_afresh_and_keeps_what_it_inherited) {
    for (uint32_t i = 0; i < 100; i++) {
        inherited[i] = parcel_make((size_t)i * 911, 3, i);
    }
    inherited_huge = (struct parcel){hak_malloc(50 << 20), PAGE, 3, 100};
    inherited_run = (struct parcel){hak_malloc(4 << 20), PAGE, 3, 101};
    CHECK(inherited_huge.block != NULL && inherited_run.block != NULL);
    parcel_fill(&inherited_huge);
    parcel_fill(&inherited_run);
    busy_begin();
    for (int round = 0; round < (SANITIZED ? FIRSTS : 16); round++) {
        pid_t child = fork_unannounced();
        if (child == 0) {
            start_afresh(round % FIRSTS);
            _Exit(0);
        }
        check_ended(child);
    }
    busy_end();
    for (int i = 0; i < 100; i++) {
        parcel_end(&inherited[i]);
    }
    parcel_end(&inherited_huge);
    parcel_end(&inherited_run);
}

static pthread_barrier_t meet;

static void *hold_locks(void *unused) {
    lock_acquire(&cache_lock);
    lock_acquire(&pages_lock);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    lock_release(&pages_lock);
    lock_release(&cache_lock);
    return unused;
}

PROMISE(a_child_that_nobody_announced_waits_for_no_lock_of_another_thread) {
    if (SANITIZED) {
        return; /* announced there, and so this fork would wait */
    }
    pthread_t holder;
    CHECK(pthread_barrier_init(&meet, NULL, 2) == 0);
    CHECK(pthread_create(&holder, NULL, hold_locks, NULL) == 0);
    pthread_barrier_wait(&meet);
    pid_t child = fork_unannounced();
    if (child == 0) {
        alarm(60);
        allocate_much(1);
        hak_free(hak_malloc(3 << 20));
        hak_trim();
        _Exit(0);
    }
    check_ended(child);
    pthread_barrier_wait(&meet);
    CHECK(pthread_join(holder, NULL) == 0);
    pthread_barrier_destroy(&meet);
}

PROMISE(children_of_a_child_that_nobody_announced_fork_either_way) {
    busy_begin();
    for (int round = 0; round < 4; round++) {
        pid_t child = fork_unannounced();
        if (child == 0) {
            alarm(60);
            pid_t other = round < 2 ? fork_unannounced() : fork();
            if (other != 0) {
                check_ended(other);
            }
            allocate_much(round);
            hak_trim();
            _Exit(0);
        }
        check_ended(child);
    }
    busy_end();
}

PART(alone) {
    static struct hak_stats before, after;
    for (int i = 0; i < 10; i++) {
        allocate_much(i);
    }
    CHECK(hak_stats(&before, sizeof before) == 0);
    pid_t child = fork_unannounced();
    if (child == 0) {
        allocate_much(1);
        CHECK(hak_stats(&after, sizeof after) == 0);
        /* The quarantine of checked mode keeps what the child frees. */
        CHECK(config.check || after.committed_bytes == before.committed_bytes);
        _Exit(0);
    }
    check_ended(child);
}

PROMISE(a_process_of_one_thread_loses_nothing_in_a_child_that_nobody_announced) {
    if (!SANITIZED) {
        extern char **environ;
        CHECK_EQUAL(child_again("alone", environ, 0).code, 0);
    }
}

PROMISE(what_a_child_writes_and_frees_is_its_own) {
    struct parcel parcel = parcel_make(20000, 4, 4);
    pid_t child = fork();
    if (child == 0) {
        memset(parcel.block, 0, 20000);
        hak_free(parcel.block);
        for (int i = 0; i < 20; i++) {
            CHECK(hak_calloc(1, 20000) != NULL);
        }
        _Exit(0);
    }
    check_ended(child);
    parcel_end(&parcel);
}

/* Handlers registered after the allocator's run before its prepare and after its child handler. */
static void *from_handler[3];
static void in_prepare(void) {
    from_handler[0] = hak_malloc(3000);
}
static void in_parent(void) {
    from_handler[1] = hak_malloc(3000);
    hak_free(from_handler[0]);
    hak_free(from_handler[1]);
}
static void in_child(void) {
    from_handler[2] = hak_malloc(3000);
    hak_free(from_handler[0]);
    hak_free(from_handler[2]);
}

PROMISE(handlers_of_fork_may_allocate_and_free) {
    CHECK(pthread_atfork(in_prepare, in_parent, in_child) == 0);
    busy_begin();
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) {
            allocate_much(round);
            _Exit(0);
        }
        check_ended(child);
    }
    busy_end();
}

PROMISE(forks_leave_the_parents_counts_as_they_were) {
    static struct hak_stats before, after;
    allocate_much(1);
    CHECK(hak_stats(&before, sizeof before) == 0);
    for (int round = 0; round < 10; round++) {
        pid_t child = fork();
        if (child == 0) {
            allocate_much(2);
            CHECK(hak_stats(&after, sizeof after) == 0);
            CHECK_EQUAL(after.threads, config.check ? 0 : 1); /* which uses no caches */
            _Exit(0);
        }
        check_ended(child);
    }
    CHECK(hak_stats(&after, sizeof after) == 0);
    CHECK_EQUAL(after.threads, before.threads);
    for (uint32_t i = 0; i < after.box_count; i++) {
        /* The quarantine of checked mode counts as in use. */
        CHECK(config.check || after.box[i].bytes_in_use == before.box[i].bytes_in_use);
    }
}
