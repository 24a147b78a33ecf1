/* os: the kernel's memory and clock. Nothing above this file makes a system call for memory.
 *
 * Takes no lock; callers hold none but GROWTH when they map, unmap or purge (a system call under a
 * lock stalls every thread that wants it) and, in the rung that is about just that, REGISTRY. All
 * functions leave errno as it was: failure is in the return value.
 */
#ifndef HAK_OS_H
#define HAK_OS_H

#include "base.h"

/* What became of a wish for memory at one place: the mapping stands, the system refuses memory or
 * address space, or something else lies there. */
enum os_answer { OS_DONE, OS_REFUSED, OS_TAKEN };

/* Usable, zero memory at [at, at+bytes), which replaces nothing. */
enum os_answer os_map_at(void *at, size_t bytes);

/* An address near which the system now places mappings that may lie anywhere; 0 if it refuses. */
uintptr_t os_place(void);

/* Gives the pages of [at, at+bytes) back, locked ones too where the kernel can; they read as zero
 * when touched again. False if refused: then the contents are as they were. */
bool os_purge(void *at, size_t bytes);

/* Asks for huge pages in [at, at+bytes), where the system grants them on request. */
void os_advise_huge(void *at, size_t bytes);

/* Usable, zero memory of its own mapping, aligned to `alignment`. NULL if refused. */
void *os_map(size_t bytes, size_t alignment);

/* Ends a mapping. False if refused (the memory is then still mapped). */
bool os_unmap(void *at, size_t bytes);

/* Resizes a mapping of os_map, moving its pages, not their contents, where it must. NULL if
 * refused: the old mapping stands. */
void *os_remap(void *at, size_t old_bytes, size_t new_bytes);

/* Monotonic clocks: exact, and coarse (a few ms, about 5 ns a call). */
uint64_t os_now_ns(void);
uint64_t os_coarse_ms(void);

/* Whether `since_ms` lies at least age_ms before now_ms. A time long after now, as there is when
 * the clock was set back, does too; one just after now is another thread's. */
static inline bool os_aged(uint64_t since_ms, uint64_t now_ms, uint64_t age_ms) {
    uint64_t just = 1000;
    return now_ms + just - since_ms >= age_ms + just;
}

/* CPU time of this process in ns, and its page faults: the learner's costs. */
void os_costs(uint64_t *cpu_ns, uint64_t *faults);

/* membarrier(2): makes every thread of this process that is running pass a barrier; those that are
 * not have passed one. False where the kernel has it not. Call os_barrier_init once before. */
bool os_barrier_init(void);
bool os_barrier(void);

/* False in a child that shares this process's memory, or copied it unnoticed, since the last
 * os_barrier_init: there, threads of the same numbers are others. */
bool os_process_is_ours(void);

/* The kernel's number of the calling thread, and whether the thread of this number has ended: false
 * also if that cannot be known. */
int os_thread(void);
bool os_thread_ended(int thread);

/* Writes one line to standard error without allocating; `abort` variant then ends the process. */
void os_say(const char *line);
_Noreturn void os_die(const char *what, const void *address);

#endif
