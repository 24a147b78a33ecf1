#include "seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

#define LOAD(FIELD_OFFSET)                                                                         \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(FIELD_OFFSET))
#define JUMP(OPERATION, VALUE, YES, NO)                                                            \
    (struct sock_filter) BPF_JUMP(BPF_JMP | (OPERATION) | BPF_K, (unsigned)(VALUE), (YES), (NO))
#define RETURN(VALUE) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (unsigned)(VALUE))

/* Both our targets are little-endian: the low half of an argument comes first. */
#define LOW(INDEX) (offsetof(struct seccomp_data, args) + 8 * (INDEX))
#define HIGH(INDEX) (LOW(INDEX) + 4)

static void install(struct sock_filter *filter, size_t length, unsigned flags) {
    struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0) {
        inapplicable("the kernel refuses seccomp filters: %s", strerror(errno));
    }
}

void seccomp_refuse_optional(void) {
    static const int optional[] = {
        SYS_madvise, SYS_mremap,        SYS_prctl,         SYS_membarrier,
        SYS_rseq,    SYS_mbind,         SYS_set_mempolicy, SYS_getcpu,
        SYS_sysinfo, SYS_get_mempolicy, SYS_getrandom,     SYS_sched_getaffinity,
    };
    enum { CALLS = sizeof optional / sizeof optional[0] };
    struct sock_filter filter[CALLS + 3];
    size_t length = 0;
    filter[length++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[length++] = JUMP(BPF_JEQ, optional[i], CALLS - i, 0);
    }
    filter[length++] = RETURN(SECCOMP_RET_ALLOW);
    filter[length++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    install(filter, length, 0);
}

void seccomp_refuse_overcommit(void) {
    enum { LIMIT = 1 << 30 };
    struct sock_filter filter[] = {
        /* 0 */ LOAD(offsetof(struct seccomp_data, nr)),
        /* 1 */ JUMP(BPF_JEQ, SYS_mprotect, 3, 0),
        /* 2 */ JUMP(BPF_JEQ, SYS_mmap, 0, 8),
        /* 3 */ LOAD(LOW(3)),
        /* 4 */ JUMP(BPF_JSET, MAP_PRIVATE, 0, 6),
        /* 5 */ LOAD(LOW(2)),
        /* 6 */ JUMP(BPF_JSET, PROT_WRITE, 0, 4),
        /* 7 */ LOAD(HIGH(1)),
        /* 8 */ JUMP(BPF_JGT, 0, 3, 0),
        /* 9 */ LOAD(LOW(1)),
        /* 10 */ JUMP(BPF_JGE, LIMIT, 1, 0),
        /* 11 */ RETURN(SECCOMP_RET_ALLOW),
        /* 12 */ RETURN(SECCOMP_RET_ERRNO | ENOMEM),
    };
    install(filter, sizeof filter / sizeof filter[0], 0);
}

static void name_the_call(int number, siginfo_t *information, void *context) {
    (void)number;
    (void)context;
    broken("system call %d is made, which glibc's malloc does not need", information->si_syscall);
}

void seccomp_only_for_malloc(void) {
    static const int needed[] = {
        SYS_brk,     SYS_mmap,          SYS_munmap,     SYS_mremap,    SYS_mprotect,
        SYS_madvise, SYS_futex,         SYS_write,      SYS_nanosleep, SYS_clock_nanosleep,
        SYS_exit,    SYS_clock_gettime, SYS_exit_group, SYS_openat,    SYS_read,
        SYS_close, /* it asks how memory is overcommitted */
    };
    enum { CALLS = sizeof needed / sizeof needed[0] };
    struct sock_filter filter[CALLS + 3];
    struct sigaction action = {.sa_sigaction = name_the_call, .sa_flags = SA_SIGINFO};
    size_t length = 0;
    filter[length++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[length++] = JUMP(BPF_JEQ, needed[i], CALLS - i, 0);
    }
    filter[length++] = RETURN(SECCOMP_RET_TRAP);
    filter[length++] = RETURN(SECCOMP_RET_ALLOW);
    sigaction(SIGSYS, &action, NULL);
    install(filter, length, SECCOMP_FILTER_FLAG_TSYNC);
}
