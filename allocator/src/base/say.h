/* say: one line on standard error, written without allocating. */
#ifndef HAK_SAY_H
#define HAK_SAY_H

#include "base/base.h"

void say_line(const char *line);

/* Says what is wrong, and at which address, and ends the process. */
_Noreturn void say_die(const char *what, const void *address);

#endif
