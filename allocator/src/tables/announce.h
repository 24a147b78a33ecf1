/* announce: a span cut into blocks becomes known to whoever free may ask about them.
 *
 * The page map's byte of its granules says its class, or CLASS_ROUTED: then one of the study's
 * tables knows it (registry.h, lookup.h), and free asks the route (route.h).
 */
#ifndef HAK_ANNOUNCE_H
#define HAK_ANNOUNCE_H

#include "pages/descriptor.h"

/* Ends the process if a table that the configuration wants could not be mapped. */
void announce_init(void);

/* Makes a cut span known: its map bytes, and the table of the box that owns its class. False for
 * want of memory in a table; the span is then unknown. */
bool announce_span(struct span *span, unsigned cls);

/* Makes it unknown again. */
void announce_end(struct span *span, unsigned cls);

#endif
