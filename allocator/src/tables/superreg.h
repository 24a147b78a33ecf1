/* superreg: the super registry, which knows the blocks that are mappings of their own.
 *
 * A hash of 4096 slots, at most 8 linear probes, read without a lock and written under one; a
 * mapping that finds its 8 slots taken goes into a second table, which readers search (under the
 * lock) only while it is not empty, and whose chains become more as it fills. A reader asks about a
 * block it owns, so the entry it wants stands still.
 *
 * Lock: SUPERREG. The second table's memory is mapped outside it. A mapping is its owner's to
 * write, as long as it is not in here.
 */
#ifndef HAK_SUPERREG_H
#define HAK_SUPERREG_H

#include "pages/mapping.h"

#define SUPERREG_SLOTS 4096
#define SUPERREG_PROBES 8

void superreg_init(void);
void superreg_add(struct mapping *mapping);
void superreg_remove(struct mapping *mapping);

/* The mapping that begins at `address` (not NULL), or NULL. */
struct mapping *superreg_find(const void *address);

/* The mapping that any of its addresses lies in, or NULL: looks at every slot, for checked mode. */
struct mapping *superreg_containing(const void *address);

#endif
