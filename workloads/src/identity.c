/* Which sources and flags this library was made of. */
#include "build_info.h"
#include "workloads.h"

const char *wk_source_hash(void) {
    return WORKLOADS_SOURCE_HASH;
}
const char *wk_build_flags(void) {
    return WORKLOADS_BUILD_FLAGS;
}
