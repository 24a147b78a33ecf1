/* runs: the free runs of the page heap, by state and length, and the dirty ones by age.
 *
 * Free neighbours are always one run, whether they hold memory or not: the page map's bytes say
 * which granules of a free run do (CLASS_HELD), held == their number, and a run is dirty if any
 * does.
 *
 * Lock: PAGES, the highest rank, the caller's to take: every function that enters, finds or takes
 * out requires it; the others a run that is the caller's alone.
 */
#ifndef HAK_RUNS_H
#define HAK_RUNS_H

#include "base/lock.h"
#include "pages/descriptor.h"

extern HIDDEN struct lock pages_lock;

void runs_init(void);

static inline size_t runs_bytes(const struct span *span) {
    return (size_t)span->granules * GRANULE;
}

/* The shortest run of at least `granules` of a state, nearly; NULL if there is none. It
 * stays in its list. */
struct span *runs_best_fit(enum span_state state, size_t granules);

/* Takes a free run out of its list. */
void runs_take_out(struct span *span);

/* Makes a run that is in no list free, joined with its free neighbours (raw only with raw ones). Of
 * two ages that of the part which holds more counts: a large old run must not stay young by small
 * gifts. */
void runs_insert_joined(struct span *span);

/* Cuts a run that is in no list after `granules`; the rest keeps its age and is free. */
void runs_split(struct span *span, size_t granules);

/* The same before `at`: the lower part is free, the upper one returned. */
struct span *runs_split_upper(struct span *span, size_t at);

/* Cuts `granules` from that end of a run in no list which holds memory, the low one if either may
 * serve; the rest is free. Returns the part cut off. */
struct span *runs_cut(struct span *span, size_t granules);

/* Says of all granules of a run in no list that they hold memory, or that they do not. */
void runs_mark_held(struct span *span);
void runs_mark_clean(struct span *span);

/* The granule of a run from which on `held` granules below `end` hold memory, or 0. */
size_t runs_upper_part(const struct span *span, size_t end, size_t held);

/* The highest stretch of granules below *end that hold memory: [*from, *end); false if none does.
 */
bool runs_held_stretch(const struct span *span, size_t *from, size_t *end);

/* The run is used from now on, or at least nobody's to join. */
void runs_mark_used(struct span *span);

/* The dirty run that has been free for longest, or NULL. */
struct span *runs_oldest(void);

/* Knows of no run any more, whatever the descriptors say. */
void runs_forget(void);

/* Bytes of all free runs that are not raw, and of their granules that hold memory. Racy reads. */
uint64_t runs_free_bytes(void);
uint64_t runs_held_bytes(void);

#endif
