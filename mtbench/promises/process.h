/*
 * Child processes of a probe: forked ones that run a function, and fresh ones that run another
 * row of the table ("arms") after a limit or a filter has been put on them.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct outcome {
    int status;      /* as waitpid gives it */
    char text[1024]; /* the first of what it wrote on stdout and stderr */
};

/* Forks; the child runs work(argument) and leaves with _exit(0), or by SIGALRM after `seconds`. */
pid_t child_start(void (*work)(void *), void *argument, unsigned seconds);

/* Waits; broken("%s ...", what) unless the child ended with exit code 0. */
void child_join(pid_t child, const char *what);

/* Both. */
void child_run(void (*work)(void *), void *argument, unsigned seconds, const char *what);

/* Starts this executable afresh on another row, with the same --served-by and preload, after
 * prepare() (may be NULL) ran in the child. Reports what it wrote. */
void arm_run(const char *row, void (*prepare)(void), struct outcome *outcome);

/* As arm_run; whatever the arm's verdict is becomes this probe's. */
void arm_decides(const char *row, void (*prepare)(void));

/* "exit code 3", "SIGSEGV", "SIGALRM (hang)": into text. */
void status_describe(int status, char *text, size_t capacity);

#endif
