/* shelf: where the threads' caches lie.
 *
 * Equal places in a few mappings, each twice as long as the one before, so that ten thousand
 * threads have ten mappings between their stacks and not ten thousand. A place is taken, or warm
 * (as its last owner left it, and the first to be taken again), or cold: its memory has gone back.
 *
 * Lock: SHELF. The table of places only grows, so anybody may walk it by number without the lock.
 */
#ifndef HAK_SHELF_H
#define HAK_SHELF_H

#include "base/base.h"

#include <stdatomic.h>

#define SHELF_PLACE (8 * KIB)

struct place {
    void *memory;                /* SHELF_PLACE bytes, on whole pages */
    struct place *newer, *older; /* among the warm, or `older` among the cold; SHELF */
    uint32_t since;              /* the decay period in which it was given back; SHELF */
    _Atomic bool taken;          /* the owner's to set, and to clear before it gives the place */
};

void shelf_init(void);

/* A place for the caller, who sets `taken` once its contents make sense: as its last owner left it,
 * or reading as zero. NULL if there is no memory. */
struct place *shelf_take(void);

/* Takes back a place as warm in decay period `now`, or, if its memory reads as zero, as cold. */
void shelf_give(struct place *place, uint32_t now);
void shelf_give_cold(struct place *place);

/* Takes the longest-warm place off the shelf if it was given `age` periods before `now`; else NULL.
 */
struct place *shelf_take_rested(uint32_t now, uint32_t age);

/* In a child that starts afresh (fork.h): what is on the shelf may be half put there, and is lost.
 */
void shelf_forget(void);

/* Places there ever were, and the one of a number below that. */
unsigned shelf_count(void);
struct place *shelf_at(unsigned number);

#endif
