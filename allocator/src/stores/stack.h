/* stack: where the bins of a cache keep their pointers.
 *
 * Each bin has two stacks: a short one beside the bins, so that all a quiet thread has is two
 * pages, and a long one in a mapping that is made when the first bin of the cache outgrows its
 * short one. The slot under a stack's first is NULL and stays so.
 *
 * Owns no lock. A cache's thread calls these, or whoever holds it suspended.
 */
#ifndef HAK_STACK_H
#define HAK_STACK_H

#include "stores/bins.h"

/* Lays out both. Call once, before any other function. */
void stack_init(void);

/* Where the bin's stack begins while nobody has taken from under it. */
void **stack_origin(struct cache *cache, unsigned cls);

/* Moves what is left of a stack that was taken from back to its origin. Requires CACHES. */
void stack_restore(struct cache *cache, unsigned cls);

/* Gives a bin that has its short stack the long one; false if there is no memory for it. Takes
 * CACHES. */
bool stack_widen(struct cache *cache, unsigned cls);

/* Gives every bin, all of them empty and without room, its short stack again, and the memory of the
 * long ones back. Takes CACHES. */
void stack_narrow(struct cache *cache);

/* Ends the long stacks of a cache that is no more. Returns bytes. */
size_t stack_end(void **long_stacks);

#endif
