/*
 * A probe tests one promise of the malloc that serves this process, in a process of its own, so
 * that a crash or a hang is a result with a name.
 *
 * A probe ends in one of three ways:
 *   kept          run() returns; the process then exits through exit(), exit code 0
 *   broken        broken("why"): one line on the result descriptor, exit code 1
 *   inapplicable  inapplicable("why"): one line, exit code 77
 * Anything else (a signal, a timeout) is the caller's to name.
 *
 * Probes keep their own tables in mapped pages (see memory.h), so the malloc under test serves the
 * tested blocks and nothing else.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_KEPT = 0, EXIT_BROKEN = 1, EXIT_USAGE = 2, EXIT_INAPPLICABLE = 77 };

/* QUICK: well under a second. SLOW: up to some seconds, smaller under --quick. HIDDEN: an arm that
 * another probe runs in a process of its own; not a promise, so not listed. */
enum probe_cost { QUICK, SLOW, HIDDEN };

struct probe {
    const char *name; /* within its area */
    const char *line; /* the promise, in one line */
    void (*run)(void);
    enum probe_cost cost;
    const void *subject; /* for tables of like probes: what this row is about; else NULL */
    size_t size;         /* and at which block size; else 0 */
};

struct area {
    const char *name;
    const struct probe *probes;
    size_t count;
};

#define ROW(NAME, LINE, RUN, COST) {NAME, LINE, RUN, COST, NULL, 0}
#define AREA(NAME, ROWS) {NAME, ROWS, sizeof(ROWS) / sizeof((ROWS)[0])}

/* The row being run: how a function shared by several rows knows its subject and size. */
const struct probe *probe_current(void);

/* The argument given to --served-by, or NULL: arms are started with the same demand. */
const char *probe_served_by(void);

/* The real path of this executable. */
const char *probe_executable(void);

/* A sign of life: sets the result file's time of modification. A probe of many short processes
 * gives one after each, so that it is slow and not hung. */
void probe_alive(void);

/* Either full or, under --quick, quick: how much work a SLOW probe does. */
size_t effort(size_t full, size_t quick);

/* The result line goes to a copy of stdout made at start, so probes may close any descriptor. They
 * never allocate and may be called from any thread, a forked child or a signal handler. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void inapplicable(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* States a fact about a kept promise (say, how a misuse was stopped); several lines are allowed. */
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken(__VA_ARGS__);                                                                   \
    } while (0)

#endif
