/* The command: lists the promises, proves who serves malloc, runs one probe. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"

static const struct area *const areas[] = {
    &alignment_area,  &refusal_area,  &zero_area,       &errno_area,       &contents_area,
    &usable_area,     &overlap_area,  &back_area,       &limits_area,      &extras_area,
    &cxx_area,        &handover_area, &threadexit_area, &processexit_area, &fork_area,
    &signals_area,    &loading_area,  &start_area,      &exhaustion_area,  &pressure_area,
    &sandbox_area,    &hooks_area,    &names_area,      &peak_area,        &rest_area,
    &threadcost_area, &growth_area,   &misuse_area,     &misuse_arms_area,
};
enum { AREAS = sizeof(areas) / sizeof(areas[0]) };

/* High enough that probes which close and reopen the low descriptors leave it alone. */
enum { RESULT_FLOOR = 200 };

static int result_fd = 1;
static bool quick_run;
static const char *served_by;
static const struct probe *current;
static char executable[PATH_MAX];

const struct probe *probe_current(void) {
    return current;
}

const char *probe_served_by(void) {
    return served_by;
}

const char *probe_executable(void) {
    return executable;
}

void probe_alive(void) {
    (void)futimens(result_fd, NULL); /* not a file: then nobody looks */
}

size_t effort(size_t full, size_t quick) {
    return quick_run ? quick : full;
}

static void say(const char *format, va_list arguments) {
    char line[1024];
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    if (length < 0) {
        return;
    }
    if ((size_t)length > sizeof line - 2) {
        length = sizeof line - 2;
    }
    line[length] = '\n';
    ssize_t written = write(result_fd, line, (size_t)length + 1);
    (void)written; /* nobody is left to tell */
}

void broken(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(EXIT_BROKEN);
}

void inapplicable(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(EXIT_INAPPLICABLE);
}

void remark(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

static const char *const cost_names[] = {"quick", "slow", "hidden"};

static void list(void) {
    for (size_t a = 0; a < AREAS; a++) {
        for (size_t i = 0; i < areas[a]->count; i++) {
            const struct probe *probe = &areas[a]->probes[i];
            if (probe->cost != HIDDEN) {
                printf("%s.%s\t%s\t%s\t%s\n", areas[a]->name, probe->name, areas[a]->name,
                       cost_names[probe->cost], probe->line);
            }
        }
    }
}

static const struct probe *find(const char *full_name) {
    const char *dot = strchr(full_name, '.');
    if (dot == NULL) {
        return NULL;
    }
    size_t prefix = (size_t)(dot - full_name);
    for (size_t a = 0; a < AREAS; a++) {
        if (strlen(areas[a]->name) != prefix || strncmp(areas[a]->name, full_name, prefix) != 0) {
            continue;
        }
        for (size_t i = 0; i < areas[a]->count; i++) {
            if (strcmp(areas[a]->probes[i].name, dot + 1) == 0) {
                return &areas[a]->probes[i];
            }
        }
    }
    return NULL;
}

static void same_object(const char *found, const char *expected) {
    struct stat found_stat, expected_stat;
    if (stat(expected, &expected_stat) != 0) {
        broken("not served: %s: %s", expected, strerror(errno));
    }
    if (stat(found, &found_stat) != 0 || found_stat.st_dev != expected_stat.st_dev ||
        found_stat.st_ino != expected_stat.st_ino) {
        broken("not served: malloc comes from %s, not from %s", found, expected);
    }
}

/* A missing preload library silently runs glibc: every probe begins with this proof. */
static void prove_service(void) {
    const char *found = heap_origin("malloc");
    if (found == NULL) {
        broken("not served: no library of this process exports malloc");
    }
    const char *c_library = heap_origin("gnu_get_libc_version");
    if (strcmp(served_by, "system") != 0) {
        same_object(found, served_by);
    } else if (c_library != NULL) {
        same_object(found, c_library);
    }
}

/* Runs every listed probe of an area in forked children: for CTest, where one line an area does. */
static int run_area(const char *name) {
    int failures = 0, ran = 0;
    for (size_t a = 0; a < AREAS; a++) {
        for (size_t i = 0; strcmp(areas[a]->name, name) == 0 && i < areas[a]->count; i++) {
            if (areas[a]->probes[i].cost == HIDDEN) {
                continue;
            }
            ran++;
            current = &areas[a]->probes[i];
            pid_t child = fork();
            if (child == 0) {
                current->run();
                exit(EXIT_KEPT);
            }
            int status = 0;
            waitpid(child, &status, 0);
            if (WIFEXITED(status) &&
                (WEXITSTATUS(status) == EXIT_KEPT || WEXITSTATUS(status) == EXIT_INAPPLICABLE)) {
                continue;
            }
            fprintf(stderr, "%s.%s: broken\n", name, current->name);
            failures++;
        }
    }
    if (ran == 0) {
        fprintf(stderr, "mtbench-probe: no area '%s'; see --list\n", name);
        return EXIT_USAGE;
    }
    return failures == 0 ? EXIT_KEPT : EXIT_BROKEN;
}

static int usage(void) {
    fputs("usage: mtbench-probe --list | [--quick] [--served-by LIBRARY|system] AREA.PROMISE\n",
          stderr);
    return EXIT_USAGE;
}

int main(int count, char **arguments) {
    const char *name = NULL, *area = NULL, *own_path = "/proc/self/exe";
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--list") == 0) {
            list();
            return EXIT_KEPT;
        }
        if (strcmp(arguments[i], "--quick") == 0) {
            quick_run = true;
        } else if (strcmp(arguments[i], "--served-by") == 0 && i + 1 < count) {
            served_by = arguments[++i];
        } else if (strcmp(arguments[i], "--area") == 0 && i + 1 < count) {
            area = arguments[++i];
        } else if (strcmp(arguments[i], "--executable") == 0 && i + 1 < count) {
            own_path = arguments[++i]; /* when ld.so was started by hand, /proc/self/exe is ld.so */
        } else if (arguments[i][0] != '-' && name == NULL) {
            name = arguments[i];
        } else {
            return usage();
        }
    }
    if (realpath(own_path, executable) == NULL) {
        return EXIT_USAGE;
    }
    heap_resolve();
    int copy = fcntl(1, F_DUPFD_CLOEXEC, RESULT_FLOOR);
    if (copy >= 0) {
        result_fd = copy;
    }
    prctl(PR_SET_DUMPABLE, 0); /* many probes crash on purpose: no core files */
    if (area != NULL) {
        return run_area(area);
    }
    if (name == NULL) {
        return usage();
    }
    current = find(name);
    if (current == NULL) {
        fprintf(stderr, "mtbench-probe: no promise '%s'; see --list\n", name);
        return EXIT_USAGE;
    }
    if (served_by != NULL) {
        prove_service();
    }
    current->run();
    return EXIT_KEPT;
}
