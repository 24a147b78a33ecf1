/* central: one store per class, between the caches and the spans. */
#include "base/config.h"
#include "base/os.h"
#include "child.h"
#include "crew.h"
#include "pages/pagemap.h"
#include "pages/span.h"
#include "stores/central.h"
#include "stores/spans.h"

#include <sys/mman.h>

#define MOST 6000

static struct central_stats stats_of(unsigned cls) {
    struct central_stats stats;
    central_stats(cls, &stats);
    return stats;
}

/* Exactly n blocks, however many each call gives. */
static void take(unsigned cls, void **out, unsigned n) {
    while (n > 0) {
        unsigned got = central_take(cls, out, n);
        CHECK(got >= 1 && got <= n);
        out += got;
        n -= got;
    }
}

PROMISE(every_class_gives_distinct_blocks_of_its_own_spans) {
    static void *blocks[300];
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        unsigned n = sizeclass[cls].size > 128 * KIB ? 20 : 300;
        take(cls, blocks, n);
        for (unsigned i = 0; i < n; i++) {
            *(uintptr_t *)blocks[i] = i + 1;
            CHECK_EQUAL(pagemap_span(blocks[i])->cls, cls);
        }
        for (unsigned i = 0; i < n; i++) {
            CHECK_EQUAL(*(uintptr_t *)blocks[i], i + 1);
        }
        central_give(cls, blocks, n);
    }
    central_drain();
}

PROMISE(what_was_given_back_is_used_before_new_memory) {
    static void *blocks[1000];
    unsigned cls = sizeclass_small(256);
    take(cls, blocks, 1000);
    central_give(cls, blocks, 1000);
    uint64_t spans = stats_of(cls).spans;
    for (int round = 0; round < 10; round++) {
        take(cls, blocks, 1000);
        CHECK_EQUAL(stats_of(cls).spans, spans);
        central_give(cls, blocks, 1000);
    }
    central_drain();
}

PROMISE(a_store_that_is_full_passes_blocks_on_to_their_spans_and_loses_none) {
    static void *blocks[MOST];
    unsigned cls = sizeclass_small(48);
    struct central_stats before = stats_of(cls);
    take(cls, blocks, MOST);
    struct central_stats out = stats_of(cls);
    CHECK_EQUAL(out.taken - out.given, before.taken - before.given + MOST);
    for (int i = 0; i < MOST; i += 100) {
        central_give(cls, blocks + i, 100);
    }
    struct central_stats back = stats_of(cls);
    CHECK_EQUAL(back.taken - back.given, before.taken - before.given);
    CHECK(back.stored < MOST);
    take(cls, blocks, MOST);
    for (uintptr_t i = 0; i < MOST; i++) {
        *(uintptr_t *)blocks[i] = i;
    }
    for (uintptr_t i = 0; i < MOST; i++) {
        CHECK_EQUAL(*(uintptr_t *)blocks[i], i);
    }
    central_give(cls, blocks, MOST);
    central_drain();
}

PROMISE(a_drain_returns_empty_spans_to_the_page_heap) {
    static void *blocks[2000];
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls += 7) {
        unsigned n = sizeclass[cls].size > 128 * KIB ? 20 : 2000;
        central_drain();
        uint64_t before = stats_of(cls).spans;
        take(cls, blocks, n);
        CHECK(stats_of(cls).spans > before);
        central_give(cls, blocks, n);
        central_drain();
        CHECK_EQUAL(stats_of(cls).stored, 0);
        CHECK_EQUAL(stats_of(cls).spans, before);
    }
}

PROMISE(decay_returns_what_nobody_asked_for_and_keeps_what_is_in_use) {
    static void *blocks[512];
    unsigned cls = sizeclass_small(2048);
    take(cls, blocks, 512);
    central_give(cls, blocks, 512);
    for (int period = 0; period < 40; period++) {
        central_decay();
    }
    CHECK_EQUAL(stats_of(cls).stored, 0);
    take(cls, blocks, 512);
    central_give(cls, blocks, 512);
    uint64_t stored = stats_of(cls).stored;
    central_decay();
    take(cls, blocks, 512);
    central_give(cls, blocks, 512);
    central_decay();
    CHECK(stats_of(cls).stored >= stored / 2);
    central_drain();
}

PROMISE(growth_returns_what_nobody_asked_for_and_keeps_what_is_in_use) {
    static void *blocks[512], *others[512];
    unsigned cls = sizeclass_small(2048), other = sizeclass_small(1024);
    take(cls, blocks, 512);
    central_give(cls, blocks, 512);
    take(other, others, 512);
    central_give(other, others, 512);
    uint64_t stored = stats_of(cls).stored;
    CHECK(stored > 100);
    for (int step = 0; step < 40; step++) {
        central_grown(64 * GIB); /* a step, */
        for (unsigned call = 0; call < CLASS_COUNT; call++) {
            central_grown(1); /* and the rest of it */
        }
        take(other, others, 512);
        central_give(other, others, 512);
    }
    CHECK_EQUAL(stats_of(cls).stored, 0);
    CHECK(stats_of(other).stored >= stored / 2);
    central_drain();
}

static void exchange(int index) {
    unsigned long long state = (unsigned long long)index + 1;
    void *blocks[100];
    for (int round = 0; round < (SANITIZED ? 300 : 2000); round++) {
        unsigned cls = (unsigned[]){3, 20, 30, 52, 54, 60}[check_random(&state) % 6];
        unsigned n = 1 + (unsigned)(check_random(&state) % (cls > 52 ? 8 : 100));
        take(cls, blocks, n);
        for (unsigned i = 0; i < n; i++) {
            *(uintptr_t *)blocks[i] = (uintptr_t)index * 1000 + i;
        }
        if (round % 64 == 0) {
            central_decay();
        }
        if (round % 256 == 0) {
            central_drain();
            spans_purge(os_coarse_ms(), 0);
        }
        for (unsigned i = 0; i < n; i++) {
            CHECK_EQUAL(*(uintptr_t *)blocks[i], (uintptr_t)index * 1000 + i);
        }
        central_give(cls, blocks, n);
    }
}

PROMISE(threads_that_share_a_store_never_share_a_block) {
    crew_run(6, exchange);
    central_drain();
}

/* Of the pages that lie whole in the block. */
static size_t resident_pages(void *block, size_t bytes) {
    unsigned char in;
    size_t pages = 0;
    for (uintptr_t at = align_up((uintptr_t)block, PAGE); at + PAGE <= (uintptr_t)block + bytes;
         at += PAGE) {
        CHECK(mincore((void *)at, PAGE, &in) == 0);
        pages += in & 1;
    }
    return pages;
}

PROMISE(free_pages_of_a_span_in_use_go_back_and_its_blocks_in_use_stay) {
    if (config.check) {
        return;
    }
    for (unsigned cls = sizeclass_small(200); cls < sizeclass_small(30000); cls += 3) {
        static void *blocks[MOST], *freed[MOST];
        size_t size = sizeclass[cls].size;
        unsigned n = sizeclass[cls].blocks * 4u, gone = 0;
        uint64_t pages = 0, after = 0;
        central_drain();
        spans_purge(os_coarse_ms(), 0);
        take(cls, blocks, n);
        for (unsigned i = 0; i < n; i++) {
            memset(blocks[i], (int)i, size);
            if (i % sizeclass[cls].blocks > 1) {
                freed[gone++] = blocks[i];
                pages += resident_pages(blocks[i], size);
            }
        }
        central_give(cls, freed, gone);
        central_drain();
        if (gone * 2 > n) {
            CHECK(spans_purge(os_coarse_ms(), 0) > 0);
            for (unsigned i = 0; i < gone; i++) {
                after += resident_pages(freed[i], size);
            }
            CHECK(after <= pages / 4);
        }
        for (unsigned i = 0; i < n; i++) {
            if (i % sizeclass[cls].blocks <= 1) {
                CHECK(((unsigned char *)blocks[i])[0] == (unsigned char)i);
                CHECK(((unsigned char *)blocks[i])[size - 1] == (unsigned char)i);
                central_give(cls, &blocks[i], 1);
            }
        }
    }
    central_drain();
}

PROMISE(a_span_that_was_purged_serves_again_after_full_ones) {
    static void *blocks[400];
    unsigned cls = sizeclass_small(2000);
    take(cls, blocks, 400);
    central_give(cls, blocks + 1, 399);
    central_drain();
    spans_purge(os_coarse_ms(), 0);
    uint64_t spans = stats_of(cls).spans;
    CHECK(spans >= 1);
    take(cls, blocks + 1, sizeclass[cls].blocks - 1u);
    CHECK_EQUAL(stats_of(cls).spans, spans);
    central_give(cls, blocks, sizeclass[cls].blocks);
    central_drain();
}

PROMISE(a_trim_reaches_bare_spans_behind_many_nearly_full_ones_and_spans_of_many_blocks) {
    static void *blocks[400 * 64];
    if (config.check) {
        return;
    }
    static const size_t sizes[] = {64, 1024};
    for (int s = 0; s < 2; s++) {
        unsigned cls = sizeclass_small(sizes[s]), per = sizeclass[cls].blocks;
        unsigned n = sizeof blocks / sizeof blocks[0] / per * per, bare = 4 * per;
        take(cls, blocks, n);
        for (unsigned i = 0; i < n; i++) {
            memset(blocks[i], 1, sizes[s]);
        }
        /* All but the first of each span in a few; then one of each newer span. */
        for (unsigned i = 0; i < bare; i++) {
            if (i % per != 0) {
                central_give(cls, &blocks[i], 1);
            }
        }
        for (unsigned i = bare; i < n; i += per) {
            central_give(cls, &blocks[i], 1);
        }
        central_drain();
        CHECK(spans_trim() >= (bare / per) * (GRANULE - 4 * PAGE));
        CHECK_EQUAL(spans_bare_bytes(), 0);
        CHECK_EQUAL(spans_trim(), 0);
        for (unsigned i = 0; i < n; i++) {
            bool gone = i < bare ? i % per != 0 : (i - bare) % per == 0;
            CHECK(gone || *(unsigned char *)blocks[i] == 1);
            if (!gone) {
                central_give(cls, &blocks[i], 1);
            }
        }
        central_drain();
    }
}

PROMISE(a_span_that_was_purged_is_purged_again_when_it_became_emptier) {
    enum { BLOCKS = 9 * 1024 };
    static void *blocks[BLOCKS];
    unsigned long long state = 7;
    unsigned cls = sizeclass_small(400), left = BLOCKS;
    if (config.check) {
        return;
    }
    take(cls, blocks, BLOCKS);
    size_t bytes = BLOCKS * (size_t)sizeclass[cls].size, purged = 0;
    for (int round = 0; round < 2; round++) {
        unsigned kept = 0;
        for (unsigned i = 0; i < left; i++) {
            if (check_random(&state) % 10 != 0) {
                central_give(cls, &blocks[i], 1);
            } else {
                blocks[kept++] = blocks[i];
            }
        }
        left = kept;
        central_drain();
        purged += spans_purge(os_coarse_ms(), 0);
        /* A third of the pages at first, then nine tenths. */
        CHECK(purged > (round == 0 ? bytes / 10 * 2 : bytes / 10 * 7));
    }
    central_give(cls, blocks, left);
    central_drain();
}

PROMISE(what_bare_spans_hold_is_counted_and_purged) {
    static void *blocks[64];
    unsigned cls = sizeclass_small(30000), per = sizeclass[cls].blocks;
    if (config.check) {
        return;
    }
    central_drain();
    spans_trim();
    uint64_t none = spans_bare_bytes();
    take(cls, blocks, per);
    for (unsigned i = 0; i < per; i++) {
        memset(blocks[i], 1, 30000);
    }
    central_give(cls, blocks + 1, per - 1);
    central_drain();
    struct span *span = pagemap_span(blocks[0]);
    CHECK_EQUAL(spans_bare_bytes(), none + (span_pages(span) - span_pages_needed(span)) * PAGE);
    CHECK(spans_purge_oldest() != 0);
    CHECK_EQUAL(spans_bare_bytes(), none);
    CHECK_EQUAL(spans_purge_oldest(), 0);
    central_give(cls, blocks, 1);
    central_drain();
}

static void give_twice(void) {
    static void *blocks[MOST];
    unsigned cls = sizeclass_small(64);
    take(cls, blocks, MOST);
    central_give(cls, blocks, MOST);
    central_give(cls, blocks, 1);
    central_drain();
}

static void give_to_the_wrong_class(void) {
    void *block;
    take(sizeclass_small(64), &block, 1);
    central_give(sizeclass_small(4096), &block, 1);
    central_drain();
}

static void give_an_interior(void) {
    char *block;
    take(sizeclass_small(4096), (void **)&block, 1);
    block += 16;
    central_give(sizeclass_small(4096), (void **)&block, 1);
    central_drain();
}

PROMISE(a_block_that_its_span_disowns_ends_the_process_with_its_address) {
    void (*const misuses[])(void) = {give_twice, give_to_the_wrong_class, give_an_interior};
    for (int i = 0; i < 3; i++) {
        struct ending end = child_fork(misuses[i]);
        CHECK_EQUAL(end.signal, SIGABRT);
        CHECK(strstr(end.said, "hakmem: free(): invalid pointer or double free: 0x") != NULL);
    }
}
