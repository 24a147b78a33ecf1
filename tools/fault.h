/*
 * fault: which fault a malloc has, chosen by FAULTY in the environment: the name of one, or "none".
 * With FAULTY_IN=threads the main thread (of an interpreter, say) is served without.
 */
#ifndef FAULT_H
#define FAULT_H

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// clang-format off
#define FAULTS(X) \
    X(NONE, "none") X(TWICE, "twice") X(DIRTY_CALLOC, "dirty-calloc") \
    X(LOSSY_REALLOC, "lossy-realloc") X(MISALIGNED, "misaligned") X(LEAK, "leak") X(RACY, "racy") \
    X(HANG, "hang") X(SILENT_NULL, "silent-null") X(SHORT_CLASS, "short-class") \
    X(ERRNO_FREE, "errno-free") X(WRAP_CALLOC, "wrap-calloc") X(BAD_ALIGNMENT, "bad-alignment") \
    X(OUTPUT, "output") X(FORK, "fork") X(ZERO_NULL, "zero-null") X(HUGE_STAYS, "huge-stays") \
    X(REALLOC_FREES, "realloc-frees") X(STALE_USABLE, "stale-usable") \
    X(ENOMEM_CRASH, "enomem-crash") X(NOT_UNIQUE, "not-unique") X(ALIGNED_ZERO, "aligned-zero") \
    X(RESERVES, "reserves") X(SHARED_PAGES, "shared-pages") X(ASKS_PID, "asks-pid") \
    X(COUNTS_CYCLES, "counts-cycles") X(DEEP_STACK, "deep-stack") X(RAW_FORK, "raw-fork") \
    X(EARLY_TLS, "early-tls") X(NOT_REENTRANT, "not-reentrant") X(FOREIGN_NAMES, "foreign-names") \
    X(DEEP_BIND, "deep-bind") X(SHRINK_KEEPS, "shrink-keeps") X(THREAD_HOARD, "thread-hoard") \
    X(LIST, "list") X(COPIES, "copies") X(CLOCK_WRAPS, "clock-wraps")
// clang-format on

#define CONSTANT(constant, name) constant,
enum fault { FAULTS(CONSTANT) FAULT_COUNT };
#undef CONSTANT

#define NAME(constant, name) name,
static const char *const fault_names[] = {FAULTS(NAME)};
#undef NAME

static bool only_in_threads;

/* Read once, from the kernel: getenv may not be called this early, and environ is not yet set. */
static enum fault chosen_fault(void) {
    static int chosen = -1;
    static char text[1 << 17];
    if (chosen >= 0) {
        return (enum fault)chosen;
    }
    int found = NONE, fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY);
    size_t length = 0;
    for (long got = 1; got > 0; length += got > 0 ? (size_t)got : 0) {
        got = syscall(SYS_read, fd, text + length, sizeof text - 1 - length);
    }
    syscall(SYS_close, fd);
    for (const char *entry = text; entry < text + length; entry += strlen(entry) + 1) {
        for (int i = 0; strncmp(entry, "FAULTY=", 7) == 0 && i < FAULT_COUNT; i++) {
            if (strcmp(entry + 7, fault_names[i]) == 0) {
                found = i;
            }
        }
        if (strcmp(entry, "FAULTY_IN=threads") == 0) {
            only_in_threads = true;
        }
    }
    chosen = found;
    return (enum fault)chosen;
}

/* The fault that this thread's calls have. */
static enum fault fault(void) {
    static _Thread_local int is_main;
    enum fault chosen = chosen_fault();
    if (chosen == NONE || !only_in_threads) {
        return chosen;
    }
    if (is_main == 0) {
        is_main = syscall(SYS_gettid) == getpid() ? 1 : -1;
    }
    return is_main == 1 ? NONE : chosen;
}

#endif
