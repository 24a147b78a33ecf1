#include "hakmem.h"

#include "hakmem_build.h"

const char *hak_source_hash(void) {
    return HAKMEM_SOURCE_HASH;
}

const char *hak_build_flags(void) {
    return HAKMEM_BUILD_FLAGS;
}
