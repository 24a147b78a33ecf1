/* guard: pointers that are not ours.
 *
 * A preloaded malloc meets blocks that libc's own malloc made (before we were there, or through
 * its private entry points). They go back to the libc that owns them, and are counted: many of them
 * mean that a box lost track of its own.
 */
#ifndef HAK_GUARD_H
#define HAK_GUARD_H

#include "base/base.h"

/* True if the address is a stranger's: in none of our ranges and no mapping of ours. */
bool guard_knows(const void *block);

/* Passes a stranger to libc. Without a libc that can take it, ends the process with one line. */
void guard_free(void *block);
void *guard_realloc(void *block, size_t size);
size_t guard_usable_size(const void *block);

uint64_t guard_count(void);

#endif
