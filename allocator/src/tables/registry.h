/* registry: "which class is this Mid block, if it is Mid at all?" in five ways.
 *
 * The ladder of the study. Every rung keeps the same answer; they differ in the table and in what a
 * reader does (config.registry):
 *
 *   locked            sorted array that grows by mapping and copying; binary search under a mutex
 *   prealloc-locked   the same array at full capacity from the start; the same mutex
 *   prealloc-rwlock   the same; readers share
 *   prealloc-seqlock  the same; readers take no lock and look again if a writer came by
 *   flat              the page map, which knows anyway; no table at all
 *
 * Locks: REGISTRY (also for writers of every rung). Writers are few (a span made or retired),
 * readers many (every free of a Mid block, in every rung but flat).
 */
#ifndef HAK_REGISTRY_H
#define HAK_REGISTRY_H

#include "base/config.h"
#include "base/lock.h"
#include "pages/descriptor.h"

/* Spans the preallocated tables can hold; 24 bytes of address space each, untouched until used. */
#define REGISTRY_CAPACITY ((size_t)1 << 20)
/* Where the growing table begins. */
#define REGISTRY_FIRST ((size_t)64)

/* Ends the process if a table could not be mapped: another rung in its place would be measured
 * under a wrong name. */
void registry_init(void);

/* Enters or removes a span of Mid blocks. registry_add fails only for want of memory or capacity.
 */
bool registry_add(struct span *span, unsigned cls);
void registry_remove(struct span *span);

/* The class of the span an address lies in, CLASS_NONE if the registry does not know it. */
unsigned registry_find(const void *address);

struct registry_stats {
    uint64_t entries, retries, growths;
};
void registry_stats(struct registry_stats *out);

/* In the child of a fork, which holds REGISTRY: forgets readers that are no more. */
void registry_after_fork(void);

/* In a child that starts afresh (fork.h): no table can be trusted, nor those of lookup.h. From here
 * on the page map is asked, which still knows every block. */
void registry_forget(void);

#endif
