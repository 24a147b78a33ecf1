/* background: memory goes back though the process sleeps. */
#include "base/config.h"
#include "base/os.h"
#include "check.h"
#include "child.h"
#include "hakmem.h"
#include "stores/dirty.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Asleep but for reading sums; a minute at most, for a machine that is busy. */
static void sleep_until_nothing_is_dirty(void) {
    for (int i = 0; i < 6000 && dirty_bytes() != 0; i++) {
        usleep(10000);
    }
}

/* It is there after the free, unless this thread had to wait so long for the next line. */
static void free_some(void) {
    uint64_t began = os_coarse_ms();
    char *block = hak_malloc(3 * MIB);
    CHECK(block != NULL);
    memset(block, 1, 3 * MIB);
    hak_free(block);
    CHECK(dirty_bytes() != 0 || os_coarse_ms() - began >= config.decay_ms);
}

PROMISE(what_was_freed_goes_back_while_the_process_sleeps) {
    CHECK_EQUAL(config.background, 1);
    free_some();
    sleep_until_nothing_is_dirty();
    CHECK_EQUAL(dirty_bytes(), 0);
}

static void in_a_child(void) {
    free_some();
    sleep_until_nothing_is_dirty();
    _exit(dirty_bytes() == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

PROMISE(so_it_does_in_the_child_of_a_fork) {
    CHECK_EQUAL(child_fork(in_a_child).code, EXIT_SUCCESS);
}

PROMISE(signals_are_left_to_the_threads_of_the_program) {
    sigset_t usr1, pending;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    usleep(20000);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1));
}
