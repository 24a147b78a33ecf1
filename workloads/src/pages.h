/* Memory for the engine's own bookkeeping, straight from the kernel: the malloc under test must
 * see the workload and nothing else. Everything taken for a run is given back with it. */
#ifndef WORKLOADS_PAGES_H
#define WORKLOADS_PAGES_H

#include <stddef.h>

struct pages {
    struct region *last;
    size_t taken; /* bytes mapped */
};

/* Zeroed, page-aligned, already resident (so it never faults in the window). NULL: no memory. */
void *pages_take(struct pages *pages, size_t bytes);
void pages_return(struct pages *pages);

#endif
