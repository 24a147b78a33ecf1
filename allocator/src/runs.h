/* runs: the free runs of the page heap, by kind, state and length, and the dirty ones by age.
 *
 * Owns no lock: every function but the last requires PAGES.
 */
#ifndef HAK_RUNS_H
#define HAK_RUNS_H

#include "span.h"

static inline size_t runs_bytes(const struct span *span) {
    return (size_t)span->granules * GRANULE;
}

/* The shortest run of at least `granules` of a kind and state, nearly; NULL if there is none. It
 * stays in its list. */
struct span *runs_best_fit(enum run_kind kind, enum span_state state, size_t granules);

/* Takes a free run out of its list. */
void runs_take_out(struct span *span);

/* Joins a run that is in no list with free neighbours of its state, and enters the result. Of two
 * dirty ages the longer part's counts: a large old run must not stay young by small gifts. */
void runs_insert_joined(struct span *span);

/* Cuts a run that is in no list after `granules`; the rest keeps state and age. */
void runs_split(struct span *span, size_t granules);

/* The run is used from now on, or at least nobody's to join. */
void runs_mark_used(struct span *span);

/* The dirty run that has been free for longest, or NULL. */
struct span *runs_oldest(void);

/* Knows of no run any more, whatever the descriptors say. */
void runs_forget(void);

/* Bytes of all free runs in a state. A racy read. */
uint64_t runs_free_bytes(enum span_state state);

#endif
