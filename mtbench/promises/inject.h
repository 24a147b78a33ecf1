/*
 * Refuses memory system calls of this process, whichever way they are made: a seccomp filter hands
 * each to a supervisor process, which counts it and answers either "go on" or ENOMEM. No library
 * has to cooperate, and raw system calls are met as well.
 *
 * Growing the break counts as mmap. The plan lies in shared memory: threads and forked children
 * count together. Start once, before threads exist; every later thread and child is covered.
 */
#ifndef INJECT_H
#define INJECT_H

#include <stddef.h>

enum refused_call {
    REFUSE_MMAP = 1,
    REFUSE_MUNMAP = 2,
    REFUSE_MADVISE = 4,
    REFUSE_MPROTECT = 8,
    REFUSE_MREMAP = 16,
    REFUSE_ALL = 31,
};

/* inapplicable() where the kernel lacks seccomp user notification. */
void inject_begin(void);

/* From now on count the calls of the set; refuse only the k-th, or all from the k-th on (k >= 1).
 */
void inject_kth(unsigned calls, size_t k);
void inject_from(unsigned calls, size_t k);

void inject_stop(void);

/* Since the last inject_kth or inject_from. */
size_t inject_seen(void);
size_t inject_refused(void);

/* The name of a single call of the set. */
const char *inject_name(unsigned call);

#endif
