#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "probe.h"

void *memory_pages(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        inapplicable("no memory for the probe's own tables");
    }
    return pages;
}

size_t memory_page(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Reads the start of a small file with plain system calls. */
static void read_file(const char *path, char *text, size_t capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, capacity - 1);
    if (length < 0) {
        inapplicable("cannot read %s", path);
    }
    text[length] = '\0';
    close(fd);
}

static size_t pages_of(const char *format) {
    char text[256];
    size_t pages = 0;
    read_file("/proc/self/statm", text, sizeof text);
    if (sscanf(text, format, &pages) != 1) {
        inapplicable("cannot understand /proc/self/statm");
    }
    return pages * memory_page();
}

size_t memory_virtual(void) {
    return pages_of("%zu");
}

size_t memory_resident(void) {
    return pages_of("%*u %zu");
}

static size_t kilobytes_after(const char *path, const char *label) {
    char text[4096];
    size_t kilobytes = 0;
    read_file(path, text, sizeof text);
    const char *line = strstr(text, label);
    if (line == NULL || sscanf(line + strlen(label), "%zu", &kilobytes) != 1) {
        inapplicable("%s has no %s line", path, label);
    }
    return kilobytes * KIB;
}

size_t memory_peak(void) {
    return kilobytes_after("/proc/self/status", "VmHWM:");
}

size_t memory_available(void) {
    return kilobytes_after("/proc/meminfo", "MemAvailable:");
}

void memory_reset_peak(void) {
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "5", 1) != 1) {
        inapplicable("cannot reset the peak of resident memory");
    }
    close(fd);
}

size_t memory_mappings(void) {
    static char text[65536];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        inapplicable("cannot read /proc/self/maps");
    }
    size_t lines = 0;
    for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;) {
        for (ssize_t i = 0; i < length; i++) {
            lines += text[i] == '\n';
        }
    }
    close(fd);
    return lines;
}

static void limit(int what, size_t bytes) {
    struct rlimit both = {bytes, bytes};
    REQUIRE(setrlimit(what, &both) == 0, "setrlimit to %zu MiB is refused", bytes / MIB);
}

void memory_limit_address_space(size_t bytes) {
    limit(RLIMIT_AS, bytes);
}

void memory_limit_data(size_t bytes) {
    limit(RLIMIT_DATA, bytes);
}
