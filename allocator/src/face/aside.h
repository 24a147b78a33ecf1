/* aside: blocks for a signal handler that interrupts checked mode.
 *
 * Checked mode takes locks for every block. A handler that allocates while its own thread is in
 * there would wait for itself; the standard forbids it to, and programs do it. Such blocks come
 * from a small piece of memory of their own, without a lock, and leave no trace when they are all
 * freed.
 */
#ifndef HAK_ASIDE_H
#define HAK_ASIDE_H

#include "base/base.h"

#define ASIDE_BYTES (32 * MIB)

/* False if there is no memory; then every aside_take fails. */
bool aside_init(void);

/* A block aligned to `alignment` (a power of two), its contents whatever was there; NULL if the
 * piece is used up. */
void *aside_take(size_t size, size_t alignment);

/* Whether a block came from here, the bytes asked for, and its end. */
bool aside_owns(const void *block);
size_t aside_size(const void *block);
void aside_give(void *block);

#endif
