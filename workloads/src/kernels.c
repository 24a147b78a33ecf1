/* The table of kernels: a new one is a line here and a file in kernels/. */
#include <string.h>

#include "engine.h"

#define KERNELS(each) each(toggle) each(replace) each(exchange)

#define DECLARE(name) extern const struct kernel kernel_##name;
#define ENTER(name) &kernel_##name,
KERNELS(DECLARE)
static const struct kernel *const kernels[] = {KERNELS(ENTER) NULL};

const struct kernel *kernel_named(const char *name) {
    for (uint32_t i = 0; kernels[i]; i++)
        if (!strcmp(kernels[i]->name, name))
            return kernels[i];
    return NULL;
}

const char *wk_kernel_name(uint32_t position) {
    return position < sizeof kernels / sizeof *kernels && kernels[position]
               ? kernels[position]->name
               : NULL;
}
