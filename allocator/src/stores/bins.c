#include "stores/bins.h"

/* Their bins are zero: no head, so empty, and the top where the end is, so full. */
struct cache cache_none, cache_gone, cache_suspended;

_Thread_local struct cache *_Atomic cache_self __attribute__((tls_model("initial-exec"))) =
    &cache_none;

struct lock cache_lock;

void bins_init(void) {
    lock_init(&cache_lock, "caches", RANK_CACHES);
}
