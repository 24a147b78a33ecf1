#include "face/fork.h"
#include "base/lock.h"
#include "base/os.h"
#include "face/background.h"
#include "face/check.h"
#include "pages/bigcache.h"
#include "pages/mapping.h"
#include "pages/pages.h"
#include "stores/cache.h"
#include "stores/central.h"
#include "stores/spans.h"
#include "tables/registry.h"

#include <pthread.h>

static void free_all_locks(void) {
    for (int i = lock_count(); i-- > 0;) {
        lock_after_fork(lock_at(i));
    }
}

static void child(void) {
    registry_after_fork();
    cache_after_fork();
    free_all_locks();
    afresh_known();
    os_thread_is_another();
    cache_live_again();
    background_start();
}

void fork_init(void) {
    pthread_atfork(lock_acquire_all, lock_release_all, child);
}

void fork_forget(void) {
    free_all_locks();
    check_forget();
    cache_forget();
    mapping_forget();
    bigcache_forget();
    central_forget();
    spans_forget();
    registry_forget();
    pages_forget();
}
