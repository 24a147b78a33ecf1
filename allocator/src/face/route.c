#include "face/route.h"
#include "base/afresh.h"
#include "base/config.h"
#include "base/say.h"
#include "boxes/guard.h"
#include "pages/pagemap.h"
#include "stores/cache.h"
#include "tables/lookup.h"
#include "tables/registry.h"
#include "tables/superreg.h"

bool mid_route_free(void *block) {
    lock_bump(&cache_here()->registry_lookups, 1);
    unsigned cls = registry_find(block);
    if (!class_is_mid(cls)) {
        return false;
    }
    cache_push(cls, block);
    return true;
}

/* The four lookups that the free of hakmem's predecessor made in vain. True if one of them freed
 * the block. */
static bool cascade(void *block) {
    unsigned cls = lookup_find(LOOKUP_POOL, block);
    if (cls == CLASS_NONE) {
        cls = lookup_find(LOOKUP_L25, block);
    }
    if (cls != CLASS_NONE) {
        cache_push(cls, block);
        return true;
    }
    /* Neither a mapping of its own nor a stranger: the last two only say no. */
    return superreg_find(block) != NULL || guard_knows(block);
}

void route_free(void *block) {
    afresh_notice();
    if (config.route == ROUTE_DIRECT && config.registry == REGISTRY_FLAT) {
        /* Announced to tables that were forgotten at a fork. */
        cache_push(pagemap_span(block)->cls, block);
        return;
    }
    if (config.route != ROUTE_DIRECT) {
        if (cascade(block)) {
            return;
        }
        if (config.route == ROUTE_CASCADE_LEAK) {
            /* A thread that only frees never has a cache of its own: the count is then shared. */
            atomic_fetch_add_explicit(&cache_here()->leaked, 1, memory_order_relaxed);
            return;
        }
    }
    if (!mid_route_free(block)) {
        say_die("free(): invalid pointer", block);
    }
}
