/* stats: the few sums that glibc's own statistics calls report. */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include "base/base.h"

struct stats_summary {
    size_t mapped;     /* bytes of the ranges that are mapped */
    size_t huge_count; /* live mappings of their own */
    size_t huge_bytes;
    size_t used;     /* bytes in the program's hands, huge ones not counted */
    size_t free;     /* bytes free and holding memory */
    size_t bigcache; /* bytes of freed mappings kept */
};
void stats_summary(struct stats_summary *out);

#endif
