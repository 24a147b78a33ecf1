/* Serves like good.c, malloc being chosen by an indirect function when it is bound. The choice is
 * hidden: it can be asked for before this library has been relocated. */
#include <stddef.h>

void *chosen_malloc(size_t size) __attribute__((visibility("hidden")));
#define malloc chosen_malloc
#include "good.c"
#undef malloc

static void *(*pick(void))(size_t) {
    return chosen_malloc;
}

void *malloc(size_t size) __attribute__((ifunc("pick")));
