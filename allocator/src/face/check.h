/* check: the allocator that finds its users' mistakes (config.check).
 *
 * A block gets a header before it and a pattern behind it, and when freed it is filled and rests in
 * a quarantine before it may be used again. Found, named on one line of standard error, and
 * stopped by abort(): double free, free of an interior, stack, global or foreign pointer, write
 * before, behind or after a block's life, a size or alignment given to free that is not the
 * block's. Memory that was never written reads as 0xa5, freed memory as 0xdf.
 *
 * A signal handler that allocates while its thread is in here is served aside (aside.h), and what
 * it frees is freed when the thread comes out.
 *
 * Lock: CHECK, below all others' ranks; the quarantine. Costs a few times the default mode's time.
 */
#ifndef HAK_CHECK_H
#define HAK_CHECK_H

#include "base/base.h"

void check_init(void);

/* As block_take and block_give, with everything above around them. */
void *check_take(size_t size, size_t alignment, bool *zero);
void check_give(void *block);

/* Exactly what was asked for. Ends the process for what is no live block. */
size_t check_usable(const void *block);

/* Ends the process unless `size` (`alignment`) is what was asked for. */
void check_size(const void *block, size_t size);
void check_alignment(const void *block, size_t alignment);

/* Ends every quarantine, having looked at it. */
void check_drain(void);

/* In a child that starts afresh (fork.h): nothing waits. */
void check_forget(void);

/* Bytes of the blocks that wait, those with a mapping of their own left out: freed, though the
 * boxes they came from still count them. */
size_t check_waiting(void);

#endif
