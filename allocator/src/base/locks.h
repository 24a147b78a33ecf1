/* locks: every lock there is, by name and rank, for who looks at all of them: the statistics, fork,
 * and the witness.
 *
 * Ranks, low taken first: a thread that holds one only takes higher ones. Within a rank at most one
 * is held, except by fork, which takes all in the order in which they were named. Builds with
 * HAK_WITNESS see to both rules (witness.h).
 */
#ifndef HAK_LOCKS_H
#define HAK_LOCKS_H

#include "base/base.h"

struct lock;

enum lock_rank {
    RANK_CHECK,
    RANK_CACHES,
    RANK_SHELF,
    RANK_ELO,
    RANK_SUPERREG,
    RANK_HUGE,
    RANK_BIGCACHE,
    RANK_CENTRAL,
    RANK_SPANS,
    RANK_REGISTRY,
    RANK_LOOKUP,
    RANK_GROWTH,
    RANK_PAGES
};

/* Locks of one purpose. What is the same for all of them is here and not in the locks, so that one
 * that is never taken is never touched. */
struct lock_family {
    const char *name;
    struct lock *first;
    size_t stride; /* bytes from one to the next */
    int count;
    unsigned (*number)(int index); /* behind the name and a point; NULL: none */
    enum lock_rank rank;
};

/* Bytes of a lock's name with its number, and of the zero behind them. */
#define LOCK_NAME 24

/* Enters locks in the list that the statistics and fork read; more families than the list holds end
 * the process. Call once, before use. Touches no lock. */
void lock_init_family(const struct lock_family *family);

/* The same of a lock that is alone. */
void lock_init(struct lock *lock, const char *name, enum lock_rank rank);

/* The locks named so far; and the family of one of them. */
int lock_count(void);
struct lock *lock_at(int index);
const struct lock_family *lock_family(const struct lock *lock);
void lock_name(const struct lock *lock, char name[LOCK_NAME]);

#endif
