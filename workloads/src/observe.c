#include "observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Reads a small file without stdio, which would use the malloc under test. */
static bool read_small(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t length = read(file, text, size - 1);
    close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* What a processor counts, of the program's own code alone. */
static int perf_open(uint32_t type, uint64_t config) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = type;
    attributes.config = config;
    attributes.inherit = 1;
    attributes.exclude_kernel = attributes.exclude_hv = type == PERF_TYPE_HARDWARE;
    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void explain(struct observer *observer, enum observed which, int error) {
    char setting[16] = "unknown";
    if (read_small("/proc/sys/kernel/perf_event_paranoid", setting, sizeof setting)) {
        setting[strcspn(setting, "\n")] = 0;
    }
    const char *why = error == ENOENT || error == EOPNOTSUPP
                          ? "this (virtual) machine has no such counter"
                          : strerror(error);
    snprintf(observer->reasons[which], WK_TEXT, "perf_event_open: %s (perf_event_paranoid is %s)",
             why, setting);
}

static void open_futex_event(struct observer *observer) {
    char identifier[32];
    if (!read_small("/sys/kernel/tracing/events/syscalls/sys_enter_futex/id", identifier,
                    sizeof identifier) &&
        !read_small("/sys/kernel/debug/tracing/events/syscalls/sys_enter_futex/id", identifier,
                    sizeof identifier)) {
        snprintf(observer->reasons[FUTEX_CALLS], WK_TEXT,
                 "the tracepoint sys_enter_futex cannot be read (tracefs: %s)", strerror(errno));
        return;
    }
    int event = perf_open(PERF_TYPE_TRACEPOINT, strtoull(identifier, NULL, 10));
    observer->events[FUTEX_CALLS] = event;
    if (event < 0) {
        explain(observer, FUTEX_CALLS, errno);
    }
}

static bool migrations_in(const char *text, double *value) {
    const char *field = strstr(text, "se.nr_migrations");
    const char *number = field != NULL ? strchr(field, ':') : NULL;
    if (number != NULL) {
        *value = strtod(number + 1, NULL);
    }
    return number != NULL;
}

/* The second of three numbers: nanoseconds on a run queue without running. */
static bool run_delay_in(const char *text, double *value) {
    char *rest;
    strtod(text, &rest);
    const char *number = rest;
    *value = strtod(number, &rest);
    return rest != number;
}

/* Sum of one number of a file over the threads that live now, the calling one left out. who: of
 * their ids, to tell whether they are the same later. */
static bool sum_of_tasks(const char *name, bool (*read_in)(const char *, double *), double *sum,
                         uint64_t *who) {
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) {
        return false;
    }
    bool any = false;
    *sum = 0;
    *who = 0;
    long self = syscall(SYS_gettid);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], text[2048];
        double value;
        long id = strtol(task->d_name, NULL, 10);
        snprintf(path, sizeof path, "/proc/self/task/%s/%s", task->d_name, name);
        if (id <= 0 || id == self || !read_small(path, text, sizeof text) ||
            !read_in(text, &value)) {
            continue;
        }
        *sum += value;
        *who += (uint64_t)id * (uint64_t)id;
        any = true;
    }
    closedir(tasks);
    return any;
}

void observer_open(struct observer *observer) {
    memset(observer, 0, sizeof *observer);
    static const struct {
        enum observed which;
        uint32_t type;
        uint64_t config;
    } wanted[] = {
        {MIGRATIONS, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
        {CYCLES, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
        {INSTRUCTIONS, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
        {CACHE_MISSES, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
    };
    observer->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    observer->events[FUTEX_CALLS] = -1;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        int event = perf_open(wanted[i].type, wanted[i].config);
        observer->events[wanted[i].which] = event;
        if (event < 0) {
            explain(observer, wanted[i].which, errno);
        }
    }
    open_futex_event(observer);
    observer->events[RUN_DELAY] = -1;
    if (access("/proc/self/schedstat", R_OK) != 0) {
        snprintf(observer->reasons[RUN_DELAY], WK_TEXT, "/proc/self/schedstat: %s",
                 strerror(errno));
    }
    if (observer->events[MIGRATIONS] < 0 && access("/proc/self/sched", R_OK) == 0) {
        observer->migrations_by_task = true;
        observer->reasons[MIGRATIONS][0] = 0;
    }
}

void observer_close(struct observer *observer) {
    for (int i = 0; i < OBSERVED; i++) {
        if (observer->events[i] >= 0) {
            close(observer->events[i]);
        }
    }
    if (observer->statm >= 0) {
        close(observer->statm);
    }
}

struct observed_memory observe_memory(const struct observer *observer) {
    struct observed_memory memory = {0, 0};
    char text[128];
    ssize_t length = observer->statm < 0 ? -1 : pread(observer->statm, text, sizeof text - 1, 0);
    if (length <= 0) {
        return memory;
    }
    text[length] = 0;
    char *rest;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    memory.total = strtoull(text, &rest, 10) * page;
    memory.resident = strtoull(rest, NULL, 10) * page;
    return memory;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static struct wk_usage usage_of(int who) {
    struct rusage usage;
    getrusage(who, &usage);
    return (struct wk_usage){seconds(usage.ru_utime), seconds(usage.ru_stime),
                             (double)usage.ru_nvcsw,  (double)usage.ru_nivcsw,
                             (double)usage.ru_minflt, (double)usage.ru_majflt};
}

static struct wk_usage usage_less(struct wk_usage all, struct wk_usage part) {
    return (struct wk_usage){all.user - part.user,
                             all.system - part.system,
                             all.voluntary - part.voluntary,
                             all.involuntary - part.involuntary,
                             all.minor_faults - part.minor_faults,
                             all.major_faults - part.major_faults};
}

void observe(struct observer *observer, struct observation *now) {
    for (int i = 0; i < OBSERVED; i++) {
        uint64_t value = 0;
        if (observer->events[i] >= 0 &&
            read(observer->events[i], &value, sizeof value) != sizeof value) {
            snprintf(observer->reasons[i], WK_TEXT, "the counter could not be read: %s",
                     strerror(errno));
        }
        now->counts[i] = (double)value;
    }
    uint64_t who;
    if (observer->migrations_by_task) {
        sum_of_tasks("sched", migrations_in, &now->counts[MIGRATIONS], &who);
    }
    if (!observer->reasons[RUN_DELAY][0]) {
        sum_of_tasks("schedstat", run_delay_in, &now->counts[RUN_DELAY], &now->tasks);
    }
    now->process = usage_less(usage_of(RUSAGE_SELF), usage_of(RUSAGE_THREAD));
}

struct wk_usage usage_between(const struct observation *start, const struct observation *end) {
    return usage_less(end->process, start->process);
}

struct wk_counted counted_between(const struct observer *observer, enum observed which,
                                  const struct observation *start, const struct observation *end) {
    struct wk_counted counted = {end->counts[which] - start->counts[which], ""};
    snprintf(counted.reason, WK_TEXT, "%s", observer->reasons[which]);
    /* A count that went down is a thread that ended and took its number along; of sums over
     * threads, others that came or went make one that means nothing. */
    bool others = which == RUN_DELAY && start->tasks != end->tasks;
    if ((counted.value < 0 || others) && !counted.reason[0]) {
        snprintf(counted.reason, WK_TEXT,
                 "threads ended in the window and took their counts along");
    }
    return counted;
}
