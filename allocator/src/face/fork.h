/* fork: the child gets an allocator that works.
 *
 * Before a fork all locks are taken, in rank order; after it the parent releases them, and the
 * child makes them new and takes over the caches of the threads it does not have. The handlers are
 * registered at the first allocation of the process, so they run after every other prepare handler
 * and before every other parent and child handler: those may allocate.
 *
 * A child that nobody announced (afresh.h) starts afresh before it touches anything shared: all
 * locks free, the stores, lists and the BigCache empty, the other threads' caches forgotten, and
 * new memory only from addresses that nobody had claimed. Blocks from before stay usable and may be
 * freed and reused; what would go back to a span or a run from before is forgotten. So costs a fork
 * beside busy threads what was free; a process of one thread, where nothing can be half done, keeps
 * all.
 */
#ifndef HAK_FORK_H
#define HAK_FORK_H

#include "base/afresh.h"

/* Registers the handlers. May allocate. */
void fork_init(void);

#endif
