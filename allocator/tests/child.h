/* child: a piece of a test in a process of its own, and what it said before it ended. */
#ifndef CHILD_H
#define CHILD_H

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct ending {
    int code;        /* exit code, or -1 */
    int signal;      /* that ended it, or 0 */
    char said[8192]; /* its standard error and output */
};

static struct ending child_collect(pid_t child, int from) {
    struct ending end = {.code = -1};
    size_t used = 0;
    ssize_t n;
    while (used < sizeof end.said - 1 &&
           ((n = read(from, end.said + used, sizeof end.said - 1 - used)) > 0 || errno == EINTR)) {
        used += n > 0 ? (size_t)n : 0;
        if (n == 0) {
            break;
        }
    }
    close(from);
    int status;
    while (waitpid(child, &status, 0) != child) {
        CHECK(errno == EINTR);
    }
    if (WIFEXITED(status)) {
        end.code = WEXITSTATUS(status);
    } else {
        end.signal = WTERMSIG(status);
    }
    return end;
}

static pid_t child_begin(int *from) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        return 0;
    }
    close(ends[1]);
    *from = ends[0];
    return child;
}

/* Runs what() in a fork of this process; returning from it is exit code 0. */
static inline struct ending child_fork(void (*what)(void)) {
    int from = -1;
    pid_t child = child_begin(&from);
    if (child == 0) {
        what();
        _Exit(0);
    }
    return child_collect(child, from);
}

/* The words before a program's own, where it needs an emulator. */
#ifndef CHECK_EMULATOR
#define CHECK_EMULATOR
#endif

/* Runs a PART in a new process with just this environment and, unless 0, this limit on its address
 * space. */
static inline struct ending child_again(const char *part, char *const environment[],
                                        size_t address_limit) {
    int from = -1;
    pid_t child = child_begin(&from);
    if (child == 0) {
        struct rlimit limit = {address_limit, address_limit};
        if (address_limit != 0 && setrlimit(RLIMIT_AS, &limit) != 0) {
            _Exit(3);
        }
        char *arguments[] = {CHECK_EMULATOR check_program, (char *)"--part", (char *)part, NULL};
        execve(arguments[0], arguments, environment);
        _Exit(4);
    }
    return child_collect(child, from);
}

#endif
