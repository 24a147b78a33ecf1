#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"

static char folder[PATH_MAX];

static bool write_text(const char *file, const char *text) {
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = write(fd, text, strlen(text)) > 0;
    close(fd);
    return done;
}

/* The line of /proc/self/cgroup with this middle ends in the group's path below `root`. */
static bool try_below(const char *lines, const char *middle, const char *root, const char *file,
                      size_t limit) {
    const char *at = strstr(lines, middle);
    if (at == NULL) {
        return false;
    }
    at += strlen(middle);
    snprintf(folder, sizeof folder, "%s%.*s/mtbench-%d", root, (int)strcspn(at, "\n"), at,
             (int)getpid());
    if (mkdir(folder, 0700) != 0) {
        return false;
    }
    char number[32];
    snprintf(number, sizeof number, "%zu", limit);
    if (write_text(file, number)) {
        return true;
    }
    rmdir(folder);
    return false;
}

void group_make(size_t limit) {
    static char lines[4096];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, lines, sizeof lines - 1);
    if (length < 0) {
        inapplicable("cannot read /proc/self/cgroup");
    }
    close(fd);
    if (!try_below(lines, ":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", limit) &&
        !try_below(lines, "0::", "/sys/fs/cgroup", "memory.max", limit)) {
        inapplicable("no control group with a memory limit can be made: %s", strerror(errno));
    }
    write_text("memory.swap.max", "0");
}

void group_enter(void) {
    if (!write_text("cgroup.procs", "0")) {
        _exit(EXIT_INAPPLICABLE);
    }
}

void group_remove(void) {
    rmdir(folder);
}
