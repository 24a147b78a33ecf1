/* vdso: the kernel's own clock, found without libc. */
#include "base/vdso.h"
#include "base/os.h"
#include "check.h"

#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

static uint64_t libc_ns(clockid_t clock) {
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

PROMISE(the_clocks_are_the_systems) {
    for (int i = 0; i < 1000; i++) {
        uint64_t before = libc_ns(CLOCK_MONOTONIC), ours = os_now_ns();
        CHECK(before <= ours && ours <= libc_ns(CLOCK_MONOTONIC));
        before = libc_ns(CLOCK_MONOTONIC_COARSE) / 1000000;
        ours = os_coarse_ms();
        CHECK(before <= ours && ours <= libc_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
    }
}

PROMISE(what_the_kernel_lends_is_found_and_nothing_else) {
    CHECK(vdso_symbol("no_such_function") == NULL);
    CHECK(vdso_symbol("") == NULL);
#ifdef __x86_64__
    if (getauxval(AT_SYSINFO_EHDR) != 0) {
        CHECK(vdso_symbol("__vdso_clock_gettime") != NULL);
        CHECK(vdso_symbol("__vdso_getcpu") != vdso_symbol("__vdso_clock_gettime"));
    }
#endif
}
