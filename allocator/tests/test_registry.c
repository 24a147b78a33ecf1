/* registry: every rung gives the answer of a model. CTest runs this once for each rung. */
#include "crew.h"
#include "pages/pages.h"
#include "pages/span.h"
#include "tables/announce.h"
#include "tables/registry.h"

#include <stdatomic.h>

#define SPANS 600

static struct span *enter(unsigned cls) {
    bool zero;
    struct span *span = pages_take(sizeclass[cls].granules, 1, &zero);
    CHECK(span != NULL);
    span_cut(span, cls);
    CHECK(announce_span(span, cls));
    return span;
}

static void leave(struct span *span) {
    announce_end(span, span->cls);
    pages_give(span);
}

static unsigned a_mid_class(unsigned long long *state) {
    return CLASS_TINY_LAST + 1 +
           (unsigned)(check_random(state) % (CLASS_MID_LAST - CLASS_TINY_LAST));
}

static void check_span(struct span *span) {
    size_t bytes = span->granules * GRANULE;
    CHECK_EQUAL(registry_find((void *)span->start), span->cls);
    CHECK_EQUAL(registry_find((char *)span->start + bytes / 2), span->cls);
    CHECK_EQUAL(registry_find((char *)span->start + bytes - 1), span->cls);
}

PROMISE(the_registry_agrees_with_a_model_through_random_entries_and_removals) {
    static struct span *model[SPANS];
    unsigned long long state = 99;
    for (int step = 0; step < (SANITIZED ? 4000 : 20000); step++) {
        size_t i = check_random(&state) % SPANS;
        if (model[i] == NULL) {
            model[i] = enter(a_mid_class(&state));
            check_span(model[i]);
        } else if (check_random(&state) % 3 != 0) {
            check_span(model[i]);
        } else {
            char *gone = (char *)model[i]->start;
            size_t last = model[i]->granules * GRANULE - 1;
            leave(model[i]);
            model[i] = NULL;
            CHECK_EQUAL(registry_find(gone), CLASS_NONE);
            CHECK_EQUAL(registry_find(gone + last), CLASS_NONE);
        }
    }
    for (int i = 0; i < SPANS; i++) {
        if (model[i] != NULL) {
            check_span(model[i]);
            leave(model[i]);
            model[i] = NULL;
        }
    }
}

PROMISE(the_registry_does_not_know_strangers) {
    int local = 0;
    CHECK_EQUAL(registry_find(NULL), CLASS_NONE);
    CHECK_EQUAL(registry_find(&local), CLASS_NONE);
    CHECK_EQUAL(registry_find((void *)strlen), CLASS_NONE);
    CHECK_EQUAL(registry_find((void *)UINTPTR_MAX), CLASS_NONE);
}

PROMISE(a_table_counts_its_entries_and_only_the_locked_one_grows) {
    static struct span *held[SPANS];
    struct registry_stats before, full, after;
    registry_stats(&before);
    for (int i = 0; i < SPANS; i++) {
        held[i] = enter(CLASS_MID_LAST);
    }
    registry_stats(&full);
    for (int i = 0; i < SPANS; i++) {
        check_span(held[i]);
        leave(held[i]);
    }
    registry_stats(&after);
    if (config.registry == REGISTRY_FLAT) {
        CHECK_EQUAL(full.entries, 0);
    } else {
        CHECK_EQUAL(full.entries, before.entries + SPANS);
        CHECK_EQUAL(after.entries, before.entries);
    }
    CHECK(config.registry == REGISTRY_LOCKED ? full.growths >= 3 : full.growths == 0);
}

/* Half of the threads enter and remove spans of their own, all over the table; the others look up
 * spans that stay. */
#define READERS 3
#define WRITERS 3
static struct span *fixed_spans[64];
static _Atomic int writing;

static void read_or_write(int index) {
    unsigned long long state = (unsigned long long)index + 3;
    if (index < WRITERS) {
        struct span *own[40] = {NULL};
        for (int step = 0; step < (SANITIZED ? 1500 : 8000); step++) {
            size_t i = check_random(&state) % 40;
            if (own[i] == NULL) {
                own[i] = enter(a_mid_class(&state));
            }
            check_span(own[i]);
            if (check_random(&state) % 2 == 0) {
                leave(own[i]);
                own[i] = NULL;
            }
        }
        for (int i = 0; i < 40; i++) {
            if (own[i] != NULL) {
                leave(own[i]);
            }
        }
        atomic_fetch_sub(&writing, 1);
        return;
    }
    do {
        for (int i = 0; i < 200; i++) {
            check_span(fixed_spans[check_random(&state) % 64]);
        }
    } while (atomic_load(&writing) > 0);
}

PROMISE(readers_are_right_while_writers_move_the_table_about) {
    unsigned long long state = 4;
    struct span *between[64];
    for (int i = 0; i < 64; i++) {
        between[i] = enter(CLASS_MID_LAST);
        fixed_spans[i] = enter(a_mid_class(&state));
    }
    for (int i = 0; i < 64; i++) {
        leave(between[i]);
    }
    atomic_store(&writing, WRITERS);
    crew_run(READERS + WRITERS, read_or_write);
    for (int i = 0; i < 64; i++) {
        check_span(fixed_spans[i]);
        leave(fixed_spans[i]);
    }
}
