/* libdeepbind.so, linked before libc: what it hands on, in every type of build. */
#include <dlfcn.h>
#include <stdio.h>

int place(void);
int place(void) {
    return 2;
}

int main(void) {
    /* Only this program's own search path leads there. */
    void *part = dlopen("libdeepbind_part.so", RTLD_NOW | RTLD_DEEPBIND);
    if (part == NULL) {
        printf("not found by the caller's search path: %s\n", dlerror());
        return 1;
    }
    int (*first)(void) = (int (*)(void))dlsym(part, "first_place");
    if (first == NULL || first() != 2) {
        printf("RTLD_DEEPBIND was handed on\n");
        return 1;
    }
    return 0;
}
