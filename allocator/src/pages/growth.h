/* growth: how the page heap becomes longer, and shorter again.
 *
 * Address space is mapped when it is needed and not before, so that limits set at any time hold,
 * and so that what locks, dumps or copies all of a process finds little more than it uses. Where a
 * free run was unmapped comes first when more is needed, then the frontier of a range, then a new
 * range.
 *
 * Lock: GROWTH, just below PAGES, held across the system calls that map: whoever waits for it wants
 * the same, and most likely finds it done.
 */
#ifndef HAK_GROWTH_H
#define HAK_GROWTH_H

#include "base/lock.h"
#include "pages/descriptor.h"

extern struct lock growth_lock;

/* Adds the first range. False if the system refuses. */
bool growth_init(void);

/* Adds free, clean memory, a generous piece if the system grants it, so that a run of
 * `granules` is free unless another thread takes it; false if the system refuses. Requires GROWTH.
 */
bool growth_add(size_t granules);

/* Unmaps a run that is in no list, and notes where it was; false if the system refuses: then it is
 * as before. Takes PAGES. */
bool growth_unmap(struct span *span);

/* Bytes of runs, free and used, that are mapped; and those of address space ever claimed. Racy. */
uint64_t growth_committed(void);
uint64_t growth_claimed(void);

#endif
