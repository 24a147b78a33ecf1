/* Preloaded beside a malloc: dlopen without RTLD_DEEPBIND.
 *
 * A plug-in that is opened with the flag finds the C library's malloc before the preloaded one, and
 * the first block that changes sides ends the process. The flag protects a plug-in from symbols of
 * the same name in the program, which few plug-ins need.
 *
 * Left alone: dlmopen, which opens a C library of its own with its own heap, and a dlopen that was
 * asked for by the handle of a library, as in dlsym(libc, "dlopen").
 *
 * It is named before the malloc: libc, where that is the malloc, has a dlopen too.
 *
 * The last call has to be a jump, so that the loader finds the caller's own search path, and its
 * namespace, by the address it returns to; CMakeLists.txt has it optimised in every build. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *dlopen(const char *file, int mode) {
    static void *(*_Atomic next)(const char *, int);
    void *(*open)(const char *, int) = atomic_load_explicit(&next, memory_order_relaxed);
    if (open == NULL) {
        open = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
        if (open == NULL) {
            return NULL; /* dlerror says why */
        }
        atomic_store_explicit(&next, open, memory_order_relaxed);
    }
    return open(file, mode & ~RTLD_DEEPBIND);
}
