/* span: blocks out of a run of granules and back, one bit each. */
#include "check.h"
#include "pages/pages.h"
#include "pages/span.h"

static struct span *cut(unsigned cls) {
    bool zero;
    struct span *span = pages_take(sizeclass[cls].granules, 1, &zero);
    CHECK(span != NULL);
    span_cut(span, cls);
    return span;
}

static bool put(struct span *span, void *block) {
    return span_put(span, &block, 1) == 1;
}

PROMISE(a_span_gives_each_of_its_blocks_once_lowest_first) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct span *span = cut(cls);
        unsigned blocks = sizeclass[cls].blocks, taken = 0;
        CHECK_EQUAL(span->free, blocks);
        while (taken < blocks) {
            void *out[7];
            unsigned n = span_take(span, out, 7);
            CHECK(n == 7 || taken + n == blocks);
            for (unsigned i = 0; i < n; i++) {
                CHECK_EQUAL((uintptr_t)out[i],
                            span->start + (size_t)(taken + i) * sizeclass[cls].size);
            }
            taken += n;
            CHECK_EQUAL(span->free, blocks - taken);
        }
        void *none;
        CHECK_EQUAL(span_take(span, &none, 1), 0);
        pages_give(span);
    }
}

PROMISE(blocks_filled_to_their_ends_come_back_all) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct span *span = cut(cls);
        unsigned blocks = sizeclass[cls].blocks;
        void *block;
        for (unsigned i = 0; i < blocks; i++) {
            CHECK_EQUAL(span_take(span, &block, 1), 1);
            memset(block, 0xff, sizeclass[cls].size);
        }
        for (unsigned i = 0; i < blocks; i++) {
            CHECK(put(span, (void *)(span->start + (size_t)i * sizeclass[cls].size)));
        }
        CHECK_EQUAL(span->free, blocks);
        pages_give(span);
    }
}

PROMISE(a_block_put_back_is_taken_again_whatever_the_order) {
    unsigned long long state = 1;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls += 3) {
        struct span *span = cut(cls);
        unsigned blocks = sizeclass[cls].blocks, out_count = 0;
        static void *out[8192];
        for (int step = 0; step < 2000; step++) {
            if (check_random(&state) % 2 == 0) {
                out_count += span_take(span, out + out_count, (unsigned)(check_random(&state) % 9));
            } else if (out_count > 0) {
                unsigned i = (unsigned)(check_random(&state) % out_count);
                CHECK(put(span, out[i]));
                CHECK(!put(span, out[i]));
                out[i] = out[--out_count];
            }
            CHECK_EQUAL(span->free + out_count, blocks);
        }
        while (out_count > 0) {
            CHECK(put(span, out[--out_count]));
        }
        CHECK_EQUAL(span->free, blocks);
        pages_give(span);
    }
}

PROMISE(what_is_no_block_of_the_span_is_refused_and_changes_nothing) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct span *span = cut(cls);
        size_t size = sizeclass[cls].size, blocks = sizeclass[cls].blocks;
        void *block;
        CHECK_EQUAL(span_take(span, &block, 1), 1);
        unsigned free = span->free;
        CHECK(!put(span, (char *)block + 1));
        CHECK(!put(span, (char *)block + size / 2));
        CHECK(!put(span, (char *)block + size - 1));
        CHECK(!put(span, (void *)(span->start + blocks * size)));
        CHECK(blocks == 1 || !put(span, (void *)(span->start + size)));
        CHECK_EQUAL(span->free, free);
        CHECK(put(span, block));
        pages_give(span);
    }
}

PROMISE(of_blocks_put_back_together_those_before_the_first_wrong_one_are_back) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct span *span = cut(cls), *other = cut(cls);
        void *blocks[5], *stranger;
        unsigned all = sizeclass[cls].blocks, n = span_take(span, blocks, 4);
        CHECK_EQUAL(span_take(other, &stranger, 1), 1);
        void *wrong[] = {stranger, blocks[0], (char *)blocks[n - 1] + 1};
        for (unsigned i = 0; i < 3; i++) {
            blocks[n] = wrong[i];
            CHECK_EQUAL(span_put(span, blocks, n + 1), n);
            CHECK_EQUAL(span->free, all);
            CHECK_EQUAL(span_take(span, blocks, n), n);
        }
        CHECK_EQUAL(span_put(span, blocks, n), n);
        CHECK(put(other, stranger));
        pages_give(other);
        pages_give(span);
    }
}

PROMISE(any_address_inside_leads_to_the_start_of_its_block) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct span *span = cut(cls);
        size_t size = sizeclass[cls].size;
        for (size_t i = 0; i < sizeclass[cls].blocks; i += 5) {
            char *block = (char *)span->start + i * size;
            CHECK(span_block_of(span, block) == block);
            CHECK(span_block_of(span, block + size / 2) == block);
            CHECK(span_block_of(span, block + size - 1) == block);
        }
        pages_give(span);
    }
}

PROMISE(free_pages_are_those_that_no_block_in_use_reaches_into) {
    unsigned long long state = 3;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls += 3) {
        static void *blocks[4096];
        struct span *span = cut(cls);
        size_t size = sizeclass[cls].size, bytes = (size_t)sizeclass[cls].blocks * size;
        static bool used[16 * GRANULE / PAGE], found[16 * GRANULE / PAGE];
        memset(used, 0, sizeof used);
        memset(found, 0, sizeof found);
        CHECK_EQUAL(span_take(span, blocks, 4096), sizeclass[cls].blocks);
        for (unsigned i = 0; i < sizeclass[cls].blocks; i++) {
            size_t at = (uintptr_t)blocks[i] - span->start;
            if (check_random(&state) % (PAGE / 16) < size / 16 + 1) {
                for (size_t page = at / PAGE; page <= (at + size - 1) / PAGE; page++) {
                    used[page] = true;
                }
            } else {
                CHECK(put(span, blocks[i]));
            }
        }
        size_t from = 0, to;
        while (span_free_pages(span, &from, &to)) {
            CHECK(from < to && from % PAGE == 0 && to % PAGE == 0 &&
                  to <= span->granules * GRANULE);
            memset(found + from / PAGE, 1, (to - from) / PAGE);
            from = to;
        }
        for (size_t page = 0; page < bytes / PAGE; page++) {
            CHECK_EQUAL(found[page], !used[page]);
        }
        pages_give(span);
    }
}

PROMISE(the_bitmaps_of_a_long_run_hold_no_memory_once_it_was_purged) {
    enum { GRANULES = 256 };
    bool zero;
    struct span *before = pages_take(1, 1, &zero);
    struct span *span = pages_take(GRANULES, 1, &zero);
    CHECK(before != NULL && span != NULL);
    struct range *range = pagemap_range((void *)span->start);
    struct bitmaps *bits = &range->bits[(span - range->spans + GRANULES / 2) / BITMAPS];
    memset(bits, 1, sizeof *bits);
    pages_give(span);
    CHECK(bits->few[0][0] != 0 && bits->many[BITMAPS - 1][SPAN_WORDS - 1] != 0);
    pages_purge(0, 0);
    for (int i = 0; i < BITMAPS; i++) {
        CHECK(bits->few[i][0] == 0 && bits->few[i][SPAN_WORDS_FEW - 1] == 0);
        CHECK(bits->many[i][0] == 0 && bits->many[i][SPAN_WORDS - 1] == 0);
    }
    pages_give(before);
}

PROMISE(pages_needed_are_about_those_that_blocks_at_random_reach_into) {
    unsigned long long state = 5;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        static void *blocks[4096];
        for (unsigned tenths = 0; tenths <= 10; tenths++) {
            unsigned needed = 0, reached = 0, all = 0;
            for (int round = 0; round < 20; round++) {
                struct span *span = cut(cls);
                static bool used[16 * GRANULE / PAGE];
                memset(used, 0, sizeof used);
                unsigned n = span_take(span, blocks, 4096);
                for (unsigned i = 0; i < n; i++) {
                    if (check_random(&state) % 10 >= tenths) {
                        CHECK(put(span, blocks[i]));
                        continue;
                    }
                    size_t at = (uintptr_t)blocks[i] - span->start;
                    size_t last = (at + sizeclass[cls].size - 1) / PAGE;
                    for (size_t page = at / PAGE; page <= last; page++) {
                        used[page] = true;
                    }
                }
                for (unsigned page = 0; page < span_pages(span); page++) {
                    reached += used[page];
                }
                needed += span_pages_needed(span);
                all += span_pages(span);
                pages_give(span);
            }
            CHECK(needed <= reached + all / 4 && reached <= needed + all / 4);
            CHECK(tenths > 0 || needed == 0);
        }
    }
}
