/* Preloaded beside a malloc: dlopen without RTLD_DEEPBIND.
 *
 * A plug-in that is opened with the flag finds the C library's malloc before the preloaded one, and
 * the first block that changes sides ends the process. The flag protects a plug-in from symbols of
 * the same name in the program, which few plug-ins need.
 *
 * The last call is a jump, so that the loader finds the caller's own search path by the address it
 * returns to. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#define PUBLIC __attribute__((visibility("default")))

typedef void *opener(const char *file, int mode);

PUBLIC void *dlopen(const char *file, int mode) {
    static opener *_Atomic next;
    opener *open = next;
    if (open == NULL) {
        open = (opener *)dlsym(RTLD_NEXT, "dlopen");
        if (open == NULL) {
            return NULL;
        }
        next = open;
    }
    return open(file, mode & ~RTLD_DEEPBIND);
}
