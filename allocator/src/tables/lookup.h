/* lookup: the two hash tables that the cascade asks first, Pool and L2.5.
 *
 * Each maps granules to the class of the span there, in shards with a lock each: 56 for the Pool
 * (7 classes x 8, as hakmem's predecessor had), 64 for L2.5. Only filled when config.route is a
 * cascade. Capacity is fixed: SHARD_SLOTS granules per shard.
 */
#ifndef HAK_LOOKUP_H
#define HAK_LOOKUP_H

#include "pages/descriptor.h"

enum lookup_table { LOOKUP_POOL, LOOKUP_L25, LOOKUP_TABLES };

/* Maps the tables if the configuration wants them; false for want of memory. */
bool lookup_init(void);

/* Enters every granule of a span; false if a shard is full, and then none is entered. */
bool lookup_add(enum lookup_table table, struct span *span, unsigned cls);
void lookup_remove(enum lookup_table table, struct span *span);

/* The class of the span at an address, or CLASS_NONE. Takes the shard's lock. */
unsigned lookup_find(enum lookup_table table, const void *address);

#endif
