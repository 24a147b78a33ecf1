/* A control group (version 1 or 2) with a limit of memory, where this process may make one. */
#ifndef GROUP_H
#define GROUP_H

#include <stddef.h>

/* inapplicable() where the folder of this process's own group cannot be written. */
void group_make(size_t limit);

/* Moves the calling process into it; to be called by a child. */
void group_enter(void);

/* Its processes must have ended. */
void group_remove(void);

#endif
