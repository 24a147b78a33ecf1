#include "base/say.h"
#include "base/syscall.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void say_line(const char *line) {
    char text[512];
    size_t n = strlen(line);
    if (n > sizeof text - 1) {
        n = sizeof text - 1;
    }
    memcpy(text, line, n);
    text[n] = '\n';
    sys_write(STDERR_FILENO, text, n + 1);
}

_Noreturn void say_die(const char *what, const void *address) {
    char text[256] = "hakmem: ";
    char *out = text + strlen(text);
    size_t n = strlen(what);
    n = n > 160 ? 160 : n;
    memcpy(out, what, n);
    out += n;
    memcpy(out, ": 0x", 4);
    out += 4;
    for (int shift = 60; shift >= 0; shift -= 4) {
        *out++ = "0123456789abcdef"[((uintptr_t)address >> shift) & 15];
    }
    *out = '\0';
    say_line(text);
    abort();
}
