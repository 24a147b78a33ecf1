#include "fork.h"
#include "cache.h"
#include "idle.h"
#include "lock.h"
#include "registry.h"

#include <pthread.h>

static void prepare(void) {
    for (int i = 0; i < lock_count(); i++) {
        lock_acquire(lock_at(i));
    }
}

static void parent(void) {
    for (int i = lock_count(); i-- > 0;) {
        lock_release(lock_at(i));
    }
}

static void child(void) {
    registry_after_fork();
    cache_after_fork();
    idle_init();
    for (int i = lock_count(); i-- > 0;) {
        lock_after_fork(lock_at(i));
    }
}

void fork_init(void) {
    pthread_atfork(prepare, parent, child);
}
