/* trim: every box is asked to give memory back. Above all of them but checked mode's.
 *
 * By time, once in a period of decay's clock (decay_run, which decay.h declares for those below);
 * because the system refuses more; or because the program asks.
 */
#ifndef HAK_TRIM_H
#define HAK_TRIM_H

#include "base/base.h"

/* For when the system refuses memory: what is free and can be unmapped at once is. Returns bytes:
 * if any, asking again may help. */
size_t trim_relieve(void);

/* Everything that is free, in whatever cache or store. Returns bytes. */
size_t trim_all(void);

#endif
