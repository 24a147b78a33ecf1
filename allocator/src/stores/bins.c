#include "stores/bins.h"

/* Where the bins point that have no slots. */
static void *nothing[2];
#define NO_SLOTS {NULL, &nothing[1], &nothing[1], NULL}

struct cache cache_none = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};
struct cache cache_gone = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};
struct cache cache_suspended = {.bin = {[0 ... CLASS_LIMIT - 1] = NO_SLOTS}};

_Thread_local struct cache *_Atomic cache_self __attribute__((tls_model("initial-exec"))) =
    &cache_none;

struct lock cache_lock;

void bins_init(void) {
    lock_init(&cache_lock, "caches", RANK_CACHES);
}
