/* sandbox: what a program needs under a filter of system calls is what it needs with glibc. */
#define _GNU_SOURCE
#include "base/config.h"
#include "base/os.h"
#include "child.h"
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define IF_CALL(number, what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RETURN(what)
#define ALLOW(number) IF_CALL(number, SECCOMP_RET_ALLOW)
#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

static void install(struct sock_filter *filter, size_t length) {
    struct sock_fprog program = {(unsigned short)length, filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* What glibc's malloc calls, and what glibc needs to run a thread; anything else kills. */
static void allow_only_what_glibc_needs(void) {
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mremap),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_madvise),
        ALLOW(SYS_futex),
        ALLOW(SYS_clone3),
        ALLOW(SYS_clone),
        ALLOW(SYS_set_robust_list),
        ALLOW(SYS_rseq),
        ALLOW(SYS_rt_sigprocmask),
        ALLOW(SYS_rt_sigaction),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_write),
        RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    install(filter, sizeof filter / sizeof filter[0]);
}

static void turn_over(int index) {
    unsigned long long state = (unsigned long long)index + 3;
    struct parcel held[64] = {{0}};
    for (uint32_t step = 0; step < 20000; step++) {
        struct parcel *parcel = &held[check_random(&state) % 64];
        if (parcel->block != NULL) {
            parcel_end(parcel);
        }
        size_t size = step % 2000 == 0 ? (size_t)34 << 20 : parcel_size(&state);
        *parcel = (struct parcel){hak_malloc(size), size < 100 ? size : 100, 1, step};
        CHECK(parcel->block != NULL);
        parcel_fill(parcel);
    }
    for (int i = 0; i < 64; i++) {
        if (held[i].block != NULL) {
            parcel_end(&held[i]);
        }
    }
}

static void live_in_the_filter(void) {
    allow_only_what_glibc_needs();
    turn_over(0);
    crew_run(3, turn_over);
    hak_trim();
    /* Many decay periods, with threads that sleep and threads that are gone. */
    for (uint64_t end = os_coarse_ms() + 3 * config.decay_ms; os_coarse_ms() < end;) {
        hak_free(hak_malloc(100));
        void *block = hak_malloc(300000);
        CHECK(block != NULL);
        hak_free(block);
    }
    crew_run(3, turn_over);
}

PROMISE(a_filter_that_kills_leaves_a_program_with_threads_alive) {
    if (SANITIZED) {
        return; /* a sanitizer makes calls of its own */
    }
    struct ending end = child_fork(live_in_the_filter);
    CHECK_EQUAL(end.signal, 0);
    CHECK_EQUAL(end.code, 0);
}

/* The kernel refuses advice, and moving mappings: both may be done without. */
static void refuse_what_is_optional(void) {
    struct sock_filter filter[] = {
        LOAD_NUMBER,
        IF_CALL(SYS_madvise, SECCOMP_RET_ERRNO | EPERM),
        IF_CALL(SYS_mremap, SECCOMP_RET_ERRNO | EPERM),
        IF_CALL(SYS_prlimit64, SECCOMP_RET_ERRNO | EPERM),
        IF_CALL(SYS_clock_gettime, SECCOMP_RET_ERRNO | EPERM),
        RETURN(SECCOMP_RET_ALLOW),
    };
    install(filter, sizeof filter / sizeof filter[0]);
}

PART(refused) {
    turn_over(1);
    crew_run(3, turn_over);
    hak_trim();
    struct parcel parcel = parcel_make(40 << 20, 1, 1);
    unsigned char *moved = hak_realloc(parcel.block, 90 << 20);
    CHECK(moved != NULL);
    parcel_check_at(&parcel, moved, parcel.size);
    hak_free(moved);
}

/* The filter stays over an exec, so the start is refused too. */
static void start_refused(void) {
    refuse_what_is_optional();
    char *arguments[] = {check_program, (char *)"--part", (char *)"refused", NULL};
    execv(check_program, arguments);
    _Exit(4);
}

PROMISE(calls_that_are_refused_are_done_without) {
    if (SANITIZED) {
        return;
    }
    CHECK_EQUAL(child_fork(start_refused).code, 0);
}

#ifdef PR_SET_TSC
static void read_no_time_stamps(void) {
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0) {
        turn_over(2);
        crew_run(3, turn_over);
        hak_trim();
    }
}

PROMISE(no_time_stamp_counter_is_read_before_somebody_asks_for_times) {
    if (SANITIZED) {
        return; /* no threads in a child, where ThreadSanitizer looks on */
    }
    CHECK_EQUAL(child_fork(read_no_time_stamps).code, 0);
}
#endif
