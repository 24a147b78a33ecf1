#include "inject.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

/* Shared between the probe, its children and the supervisor; written by plain atomics. */
struct plan {
    _Atomic int listener; /* descriptor number + 1; 0: not there yet */
    _Atomic unsigned calls;
    _Atomic size_t first; /* the first refused call, counted from 1; 0: none */
    _Atomic size_t last;
    _Atomic size_t seen;
    _Atomic size_t refused;
    _Atomic uintptr_t heap_end; /* the break as we know it; a refused brk answers with it */
};

static struct plan *plan;

static unsigned call_bit(long number) {
    switch (number) {
    case SYS_mmap:
    case SYS_brk:
        return REFUSE_MMAP;
    case SYS_munmap:
        return REFUSE_MUNMAP;
    case SYS_madvise:
        return REFUSE_MADVISE;
    case SYS_mprotect:
        return REFUSE_MPROTECT;
    case SYS_mremap:
        return REFUSE_MREMAP;
    default:
        return 0;
    }
}

const char *inject_name(unsigned call) {
    switch (call) {
    case REFUSE_MMAP:
        return "mmap";
    case REFUSE_MUNMAP:
        return "munmap";
    case REFUSE_MADVISE:
        return "madvise";
    case REFUSE_MPROTECT:
        return "mprotect";
    case REFUSE_MREMAP:
        return "mremap";
    default:
        return "every call";
    }
}

static void answer(const struct seccomp_notif *asked, struct seccomp_notif_resp *reply) {
    reply->id = asked->id;
    reply->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    long number = asked->data.nr;
    uintptr_t wanted_break = (uintptr_t)asked->data.args[0];
    uintptr_t heap_end = atomic_load(&plan->heap_end);
    if ((call_bit(number) & atomic_load(&plan->calls)) == 0 ||
        (number == SYS_brk && wanted_break <= heap_end)) {
        if (number == SYS_brk && wanted_break != 0) {
            atomic_store(&plan->heap_end, wanted_break);
        }
        return;
    }
    size_t position = atomic_fetch_add(&plan->seen, 1) + 1;
    size_t first = atomic_load(&plan->first), last = atomic_load(&plan->last);
    if (first == 0 || position < first || position > last) {
        if (number == SYS_brk) {
            atomic_store(&plan->heap_end, wanted_break);
        }
        return;
    }
    atomic_fetch_add(&plan->refused, 1);
    reply->flags = 0;
    if (number == SYS_brk) {
        reply->val = (int64_t)heap_end; /* brk fails by answering the old break */
    } else {
        reply->error = -ENOMEM;
    }
}

/* Runs in a process that shares the descriptor table and has a copy of the memory: it must not
 * touch malloc. Ends with the probe. */
static _Noreturn void supervise(pid_t probe) {
    static union {
        struct seccomp_notif notification;
        char room[512]; /* kernels newer than our headers may write more */
    } asked;
    static union {
        struct seccomp_notif_resp reply;
        char room[512];
    } given;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int listener;
    while ((listener = atomic_load(&plan->listener) - 1) < 0 && getppid() == probe) {
        sched_yield();
    }
    for (;;) {
        memset(&asked, 0, sizeof asked);
        memset(&given, 0, sizeof given);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) {
            if ((errno == EINTR || errno == ENOENT) && getppid() == probe) {
                continue; /* else the probe died before the prctl above could tell */
            }
            _exit(0);
        }
        answer(&asked.notification, &given.reply);
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &given); /* ENOENT: the thread has died */
    }
}

void inject_begin(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(plan != MAP_FAILED, "no shared page: %s", strerror(errno));
    atomic_store(&plan->heap_end, (uintptr_t)sbrk(0));
    pid_t probe = getpid();
    long supervisor = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    REQUIRE(supervisor >= 0, "clone: %s", strerror(errno));
    if (supervisor == 0) {
        supervise(probe);
    }
    static const int asked_about[] = {SYS_mmap,     SYS_munmap, SYS_madvise,
                                      SYS_mprotect, SYS_mremap, SYS_brk};
    enum { CALLS = sizeof asked_about / sizeof asked_about[0] };
    struct sock_filter filter[CALLS + 3];
    size_t length = 0;
    filter[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                        (unsigned)asked_about[i], CALLS - i, 0);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long listener =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) {
        int error = errno;
        kill((pid_t)supervisor, SIGKILL);
        inapplicable("the kernel refuses seccomp user notification: %s", strerror(error));
    }
    atomic_store(&plan->listener, (int)listener + 1);
}

static void arm(unsigned calls, size_t first, size_t last) {
    atomic_store(&plan->calls, 0);
    atomic_store(&plan->heap_end, (uintptr_t)sbrk(0)); /* a forked child has a break of its own */
    atomic_store(&plan->seen, 0);
    atomic_store(&plan->refused, 0);
    atomic_store(&plan->first, first);
    atomic_store(&plan->last, last);
    atomic_store(&plan->calls, calls);
}

void inject_kth(unsigned calls, size_t k) {
    arm(calls, k, k);
}

void inject_from(unsigned calls, size_t k) {
    arm(calls, k, SIZE_MAX);
}

void inject_stop(void) {
    atomic_store(&plan->calls, 0);
}

size_t inject_seen(void) {
    return atomic_load(&plan->seen);
}

size_t inject_refused(void) {
    return atomic_load(&plan->refused);
}
