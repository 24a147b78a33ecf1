/* os: the kernel's memory and clock. Nothing above this file makes a system call, but for a lock's
 * futex.
 *
 * Owns what os_init finds out, the kernel's clock and its page; immutable afterwards. Takes no
 * lock. No caller holds one across the calls about memory (a system call under a lock stalls every
 * thread that wants it), but for GROWTH, and REGISTRY in the `locked` rung; witness builds check
 * it. errno stays as it was: failure is in the return value.
 *
 * The system calls (syscall.h), and what they are for:
 *
 *   mmap munmap mremap      runs, huge blocks, tables
 *   mprotect                a huge block of an alignment that luck did not give
 *   madvise                 purging; once, MADV_WIPEONFORK (may be refused)
 *   futex                   a lock's waiter sleeps; malloc_trim waits a moment
 *   write                   the one line before an abort, or about a switch
 *   clock_gettime           only where the kernel lends no function for it (vdso.h)
 *   getrusage               only with HAKMEM_LEARN=1
 *
 * The exact clock may execute rdtsc: it is read only for statistics of time (lock.h) and by the
 * learner. All else goes by the coarse one, which reads memory.
 */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "base/base.h"

/* What became of a wish for memory at one place: the mapping stands, the system refuses memory or
 * address space, or something else lies there. */
enum os_answer { OS_DONE, OS_REFUSED, OS_TAKEN };

/* Once, before all else. */
void os_init(void);

/* Usable, zero memory at [at, at+bytes), which replaces nothing. */
enum os_answer os_map_at(void *at, size_t bytes);

/* An address near which the system now places mappings that may lie anywhere; 0 if it refuses. */
uintptr_t os_place(void);

/* Bytes of a page: what the kernel maps, and gives back, whole. */
size_t os_page(void);

/* Gives the pages of [at, at+bytes) back, locked ones too where the kernel can; they read as zero
 * when touched again. False if these are not whole pages, if refused, or if a system that agreed
 * did nothing: then the contents are as they were. */
bool os_purge(void *at, size_t bytes);

/* Asks for huge pages in [at, at+bytes), where the system grants them on request; for none. */
void os_advise_huge(void *at, size_t bytes);
void os_advise_small(void *at, size_t bytes);

/* Whether the 4 bytes at an address, a multiple of 4, are known to be other than zero: false also
 * if they cannot be read. Where no memory is, none is taken. */
bool os_is_written(const void *word);

/* Asks that a child of a fork read zero there. False if these are not whole pages, or if refused.
 */
bool os_wipe_on_fork(void *at, size_t bytes);

/* Usable, zero memory of its own mapping, aligned to `alignment`. NULL if refused. */
void *os_map(size_t bytes, size_t alignment);

/* Ends a mapping. False if refused (the memory is then still mapped). */
bool os_unmap(void *at, size_t bytes);

/* Resizes a mapping of os_map, moving its pages, not their contents, where it must. NULL if
 * refused: the old mapping stands. */
void *os_remap(void *at, size_t old_bytes, size_t new_bytes);

/* Monotonic clocks: exact, and coarse (a few ms, about 5 ns per call). */
uint64_t os_now_ns(void);
uint64_t os_coarse_ms(void);

/* Lets so much time pass; false if signals, or a system that refuses, cut it short. */
bool os_pause_ms(unsigned ms);

/* Whether `since_ms` lies at least age_ms before now_ms. A time long after now, as there is when
 * the clock was set back, does too; one just after now is another thread's. */
static inline bool os_aged(uint64_t since_ms, uint64_t now_ms, uint64_t age_ms) {
    uint64_t just = 1000;
    return now_ms + just - since_ms >= age_ms + just;
}

/* CPU time of this process in ns, and its page faults: the learner's costs. */
void os_costs(uint64_t *cpu_ns, uint64_t *faults);

/* The kernel's number of the calling thread. */
int os_thread(void);

/* In the child of a fork: it has another. */
void os_thread_is_another(void);

#endif
