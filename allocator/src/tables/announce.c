#include "tables/announce.h"
#include "base/config.h"
#include "base/say.h"
#include "pages/pagemap.h"
#include "tables/lookup.h"
#include "tables/registry.h"

void announce_init(void) {
    registry_init();
    if (!lookup_init()) {
        say_die("no address space for the cascade's tables", NULL);
    }
}

/* The table of the box that owns a class; only the cascade has them filled. */
static bool enter_table(struct span *span, unsigned cls) {
    if (class_is_mid(cls)) {
        return registry_add(span, cls);
    }
    if (config.route == ROUTE_DIRECT || class_is_tiny(cls)) {
        return true;
    }
    return lookup_add(cls <= CLASS_POOL_LAST ? LOOKUP_POOL : LOOKUP_L25, span, cls);
}

bool announce_span(struct span *span, unsigned cls) {
    if (!enter_table(span, cls)) {
        return false;
    }
    pagemap_set(span, span->granules, config_is_routed(cls) ? CLASS_ROUTED : cls);
    return true;
}

void announce_end(struct span *span, unsigned cls) {
    if (class_is_mid(cls)) {
        registry_remove(span);
    } else if (config.route != ROUTE_DIRECT && !class_is_tiny(cls)) {
        lookup_remove(cls <= CLASS_POOL_LAST ? LOOKUP_POOL : LOOKUP_L25, span);
    }
    pagemap_set(span, span->granules, CLASS_NONE);
}
