#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

pid_t child_start(void (*work)(void *), void *argument, unsigned seconds) {
    pid_t child = fork();
    REQUIRE(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGALRM, SIG_DFL);
        alarm(seconds);
        work(argument);
        _exit(EXIT_KEPT);
    }
    return child;
}

static const char *signal_name(int number) {
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGABRT:
        return "SIGABRT";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGTRAP:
        return "SIGTRAP";
    case SIGFPE:
        return "SIGFPE";
    case SIGKILL:
        return "SIGKILL";
    case SIGSYS:
        return "SIGSYS";
    default:
        return "another signal";
    }
}

void status_describe(int status, char *text, size_t capacity) {
    if (WIFEXITED(status)) {
        snprintf(text, capacity, "exit code %d", WEXITSTATUS(status));
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        snprintf(text, capacity, "a hang");
    } else if (WIFSIGNALED(status)) {
        snprintf(text, capacity, "%s", signal_name(WTERMSIG(status)));
    } else {
        snprintf(text, capacity, "status %#x", (unsigned)status);
    }
}

static int await(pid_t child) {
    int status = 0;
    pid_t seen;
    do {
        seen = waitpid(child, &status, 0);
    } while (seen < 0 && errno == EINTR);
    REQUIRE(seen == child, "waitpid: %s", strerror(errno));
    return status;
}

void child_join(pid_t child, const char *what) {
    int status = await(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_KEPT) {
        probe_alive();
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BROKEN) {
        _exit(EXIT_BROKEN); /* it has said why, on the shared result descriptor */
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_INAPPLICABLE) {
        _exit(EXIT_INAPPLICABLE);
    }
    char how[64];
    status_describe(status, how, sizeof how);
    broken("%s: ended by %s", what, how);
}

void child_run(void (*work)(void *), void *argument, unsigned seconds, const char *what) {
    child_join(child_start(work, argument, seconds), what);
}

static void become_arm(const char *row, void (*prepare)(void), int output) {
    const char *arguments[8] = {probe_executable()};
    size_t count = 1;
    if (effort(1, 0) == 0) {
        arguments[count++] = "--quick";
    }
    if (probe_served_by() != NULL) {
        arguments[count++] = "--served-by";
        arguments[count++] = probe_served_by();
    }
    arguments[count++] = row;
    dup2(output, 1);
    dup2(output, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (prepare != NULL) {
        prepare();
    }
    execv(probe_executable(), (char *const *)arguments);
    _exit(EXIT_USAGE);
}

void arm_run(const char *row, void (*prepare)(void), struct outcome *outcome) {
    int ends[2];
    REQUIRE(pipe(ends) == 0, "pipe: %s", strerror(errno));
    pid_t child = fork();
    REQUIRE(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        become_arm(row, prepare, ends[1]);
    }
    close(ends[1]);
    size_t held = 0;
    char waste[256];
    for (;;) {
        size_t room = sizeof outcome->text - 1 - held;
        ssize_t got = room > 0 ? read(ends[0], outcome->text + held, room)
                               : read(ends[0], waste, sizeof waste);
        if (got <= 0 && errno != EINTR) {
            break;
        }
        if (got == 0) {
            break;
        }
        if (got > 0 && room > 0) {
            held += (size_t)got;
        }
    }
    outcome->text[held] = '\0';
    close(ends[0]);
    outcome->status = await(child);
}

void arm_decides(const char *row, void (*prepare)(void)) {
    struct outcome outcome;
    arm_run(row, prepare, &outcome);
    char *end = strchr(outcome.text, '\n');
    if (end != NULL) {
        *end = '\0';
    }
    if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_KEPT) {
        return;
    }
    if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_INAPPLICABLE) {
        inapplicable("%s", outcome.text);
    }
    if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_BROKEN) {
        broken("%s", outcome.text);
    }
    char how[64];
    status_describe(outcome.status, how, sizeof how);
    broken("ended by %s%s%s", how, outcome.text[0] != '\0' ? ": " : "", outcome.text);
}
