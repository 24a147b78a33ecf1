/* The table of kernels: a new one is a line here and a file in kernels/. */
#include <string.h>

#include "engine.h"

/* clang-format off */
#define KERNELS(each)                                                                              \
    each(toggle) each(replace) each(exchange)                                                      \
    each(mixed) each(remote) each(producer_consumer) each(batch_steal) each(generations)           \
    each(sliding_window) each(pareto) each(false_sharing) each(batch) each(growth)
/* clang-format on */

#define DECLARE(name) extern const struct kernel kernel_##name;
#define ENTER(name) &kernel_##name,
KERNELS(DECLARE)
static const struct kernel *const kernels[] = {KERNELS(ENTER) NULL};

const struct kernel *kernel_named(const char *name) {
    for (uint32_t i = 0; kernels[i] != NULL; i++) {
        if (strcmp(kernels[i]->name, name) == 0) {
            return kernels[i];
        }
    }
    return NULL;
}

const char *wk_kernel_name(uint32_t position) {
    return position < sizeof kernels / sizeof kernels[0] && kernels[position] != NULL
               ? kernels[position]->name
               : NULL;
}
