/* fork: the child gets an allocator that works.
 *
 * Before a fork all locks are taken, in rank order; after it the parent releases them, and the
 * child makes them new and takes over the caches of the threads it does not have. The handlers are
 * registered at the first allocation of the process, so they run after every other prepare handler
 * and before every other parent and child handler: those may allocate.
 *
 * SYS_fork, _Fork and clone run no handlers. The kernel then copies page after page while other
 * threads work on: locks stay held for ever, and a structure of two pages is of two moments. Such a
 * child is told by a word that the kernel wipes (MADV_WIPEONFORK), looked at wherever a lock is
 * taken. It starts afresh before it touches anything shared: all locks free, the stores, lists and
 * the BigCache empty, the other threads' caches forgotten, and new memory only from addresses that
 * nobody had claimed. Blocks from before stay usable and may be freed and reused; what would go
 * back to a span or a run from before is forgotten. So costs a fork beside busy threads what was
 * free; a process of one thread, where nothing can be half done, keeps all.
 */
#ifndef HAK_FORK_H
#define HAK_FORK_H

#include "base.h"

#include <stdatomic.h>

/* A page of its own, as the kernel wipes whole ones. */
struct fork_page {
    _Atomic uint32_t known; /* 1: this process's; 0: wiped; 2: it is starting afresh */
    char rest[PAGE_MOST - sizeof(uint32_t)];
} __attribute__((aligned(PAGE_MOST)));

extern struct fork_page fork_page;

/* Before any lock is taken. Where the kernel does not wipe on request, it is never told. */
void fork_watch(void);

/* Registers the handlers. May allocate. */
void fork_init(void);

void fork_start_afresh(void);

/* Every lock's way in. */
static inline void fork_notice(void) {
    if (unlikely(atomic_load_explicit(&fork_page.known, memory_order_relaxed) != 1)) {
        fork_start_afresh();
    }
}

#endif
