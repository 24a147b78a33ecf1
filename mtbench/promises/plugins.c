#include "plugins.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"

enum { ROOM = PATH_MAX + 64 };

static const char *path_of(const char *name) {
    static char path[ROOM];
    const char *slash = strrchr(probe_executable(), '/');
    snprintf(path, sizeof path, "%.*s/probe-%s.so", (int)(slash - probe_executable()),
             probe_executable(), name);
    return path;
}

void *plugin_open(const char *name, int flags) {
    void *library = dlopen(path_of(name), flags);
    if (library == NULL) {
        inapplicable("cannot open %s", path_of(name));
    }
    return library;
}

void plugin_function(void *library, const char *symbol, void *function) {
    void *address = dlsym(library, symbol);
    REQUIRE(address != NULL, "a plug-in has no %s", symbol);
    memcpy(function, &address, sizeof address);
}

static void preload(const char *first, const char *second) {
    static char both[2 * ROOM];
    snprintf(both, sizeof both, "%s%s%s", first, *first != '\0' && *second != '\0' ? ":" : "",
             second);
    setenv("LD_PRELOAD", both, 1);
}

static const char *preloaded(void) {
    const char *now = getenv("LD_PRELOAD");
    return now == NULL ? "" : now;
}

void plugin_preload_before(const char *name) {
    preload(path_of(name), preloaded());
}

void plugin_preload_after(const char *name) {
    preload(preloaded(), path_of(name));
}
