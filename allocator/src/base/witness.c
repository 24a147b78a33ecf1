#include "base/witness.h"

#ifdef HAK_WITNESS

#include "base/locks.h"
#include "base/say.h"

#include <string.h>

#define HELD_MOST 16

/* What this thread holds, in the order of taking. */
static _Thread_local const struct lock *held[HELD_MOST] __attribute__((tls_model("initial-exec")));
static _Thread_local int held_count __attribute__((tls_model("initial-exec")));

static _Noreturn void violation(const char *what, const struct lock *one, const char *other) {
    char line[160] = "witness: ";
    strcat(line, what);
    strcat(line, " ");
    strcat(line, other);
    strcat(line, " under ");
    strcat(line, lock_family(one)->name);
    say_die(line, one);
}

static enum lock_rank rank_of(const struct lock *lock) {
    return lock_family(lock)->rank;
}

void witness_acquire(const struct lock *lock) {
    const struct lock *last = held_count > 0 ? held[held_count - 1] : NULL;
    if (last != NULL && rank_of(last) >= rank_of(lock)) {
        violation("lock", last, lock_family(lock)->name);
    }
    if (held_count == HELD_MOST) {
        violation("one lock too many,", last, lock_family(lock)->name);
    }
    held[held_count++] = lock;
}

void witness_release(const struct lock *lock) {
    for (int i = held_count; i-- > 0;) {
        if (held[i] == lock) {
            memmove(&held[i], &held[i + 1], (size_t)(--held_count - i) * sizeof *held);
            return;
        }
    }
    say_die("witness: released, not held", lock);
}

void witness_no_lock(void) {
    for (int i = 0; i < held_count; i++) {
        if (rank_of(held[i]) != RANK_GROWTH && rank_of(held[i]) != RANK_REGISTRY) {
            violation("a", held[i], "system call");
        }
    }
}

#endif
