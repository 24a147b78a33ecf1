/* fork: the child gets an allocator that works.
 *
 * Before a fork all locks are taken, in rank order; after it the parent releases them, and the
 * child makes them new and takes over the caches of the threads it does not have. The handlers are
 * registered at the first allocation of the process, so they run after every other prepare handler
 * and before every other parent and child handler: those may allocate.
 */
#ifndef HAK_FORK_H
#define HAK_FORK_H

void fork_init(void);

#endif
