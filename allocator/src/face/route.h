/* route: whom free asks about a block, in which order.
 *
 * With the default configuration nobody: the page map's byte is the class, and free never comes
 * here. For the study's rungs the byte says CLASS_ROUTED, and a lookup (config.registry) or a
 * cascade of lookups (config.route) finds the class before the block goes the usual way:
 *
 *   direct         the Mid registry, first and alone
 *   cascade        Pool, L2.5, super registry, guard, each a real lookup, then the Mid registry
 *   cascade-leak   the same, but a block that the first four do not know is dropped
 */
#ifndef HAK_ROUTE_H
#define HAK_ROUTE_H

#include "base/base.h"

/* Frees a block whose map byte is CLASS_ROUTED. */
void route_free(void *block);

/* The Mid box's contract: is this block Mid's? Then it is freed and the answer is true; else
 * nothing has happened and the answer is false. */
bool mid_route_free(void *block);

#endif
