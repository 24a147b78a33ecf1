/* afresh: the child of a fork that nobody announced is noticed, before it touches what is shared.
 *
 * SYS_fork, _Fork and clone run no handlers. The kernel then copies page after page while other
 * threads work on: locks stay held for ever, and a structure of two pages is of two moments. Such a
 * child is told by a word that the kernel wipes (MADV_WIPEONFORK), looked at wherever a lock is
 * taken. It starts afresh: every box forgets what may be half done (fork.h).
 */
#ifndef HAK_AFRESH_H
#define HAK_AFRESH_H

#include "base/base.h"

#include <stdatomic.h>

/* A page of its own, as the kernel wipes whole ones. */
struct afresh_page {
    _Atomic uint32_t known; /* 1: this process's; 0: wiped; 2: it is starting afresh */
    char rest[PAGE_MOST - sizeof(uint32_t)];
} __attribute__((aligned(PAGE_MOST)));

extern struct afresh_page afresh_page;

/* Before any lock is taken. Where the kernel does not wipe on request, it is never told. */
void afresh_watch(void);

/* Says that all there is belongs to this process. */
void afresh_known(void);

void afresh_start(void);

/* Every lock's way in. */
static inline void afresh_notice(void) {
    if (unlikely(atomic_load_explicit(&afresh_page.known, memory_order_relaxed) != 1)) {
        afresh_start();
    }
}

/* What starting afresh consists of. Lent from above (fork.c): it is the business of every box. */
void fork_forget(void);

#endif
