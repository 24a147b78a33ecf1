/* elo: learns where "huge" begins, by letting thresholds play against each other.
 *
 * Twelve candidates, 512 KiB to 32 MiB in equal ratios. Each is in force for a window of operations
 * on large blocks; two windows, back to back, are a match, decided by a score of what the window
 * cost: 40 % CPU time, 30 % page faults, 30 % memory held beyond what was asked for, each for an
 * operation and relative to the pair's worse one. Ratings move by Elo's rule (K = 32, start 1500);
 * the leader is in force between matches, longer after each one it wins. Its opponent is anyone, by
 * lot.
 *
 * Off (config.learn == 0): elo_threshold() is config.threshold, one load. On: the same load, and a
 * note for each block of at least ELO_LEAST bytes.
 */
#ifndef HAK_ELO_H
#define HAK_ELO_H

#include "base/base.h"

#include <stdatomic.h>

#define ELO_CANDIDATES 12
#define ELO_LEAST (512 * KIB)

extern _Atomic size_t elo_now;

void elo_init(void);

/* Bytes above which a block is a mapping of its own. */
static inline size_t elo_threshold(void) {
    return atomic_load_explicit(&elo_now, memory_order_relaxed);
}

/* Tells the learner of one allocation of `size` bytes. */
void elo_note(size_t size);

/* Candidate i's threshold in bytes, and its rating. */
size_t elo_candidate(int i);
double elo_rating(int i);

struct elo_stats {
    uint64_t matches, moves;
};
void elo_stats(struct elo_stats *out);

#endif
