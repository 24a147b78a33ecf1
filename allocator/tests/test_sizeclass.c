/* sizeclass: which block size serves a request, and how spans of it are cut. */
#include "check.h"
#include "pages/descriptor.h"

static unsigned class_of(size_t size) {
    return size <= SMALL_MAX ? sizeclass_small(size) : sizeclass_large(size);
}

PROMISE(every_size_gets_the_smallest_class_that_holds_it) {
    for (size_t size = 0; size <= LARGE_MAX; size += size < 2 * SMALL_MAX ? 1 : 13) {
        unsigned cls = class_of(size);
        CHECK(class_is_block(cls));
        CHECK(sizeclass[cls].size >= size);
        CHECK(cls == CLASS_FIRST || sizeclass[cls - 1].size < size);
    }
}

PROMISE(a_size_that_is_a_class_gets_that_class_and_one_more_byte_the_next) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        CHECK_EQUAL(class_of(sizeclass[cls].size), cls);
        if (cls + 1 < CLASS_COUNT) {
            CHECK_EQUAL(class_of(sizeclass[cls].size + 1u), cls + 1);
        }
    }
}

PROMISE(the_boxes_meet_at_their_documented_borders) {
    CHECK_EQUAL(sizeclass[CLASS_FIRST].size, 16);
    CHECK_EQUAL(sizeclass[CLASS_TINY_LAST].size, TINY_MAX);
    CHECK_EQUAL(sizeclass[CLASS_MID_LAST].size, SMALL_MAX);
    CHECK_EQUAL(sizeclass[CLASS_POOL_LAST].size, POOL_MAX);
    CHECK_EQUAL(sizeclass[CLASS_LAST].size, LARGE_MAX);
    CHECK(class_is_tiny(CLASS_TINY_LAST) && class_is_mid(CLASS_TINY_LAST + 1));
    CHECK(class_is_mid(CLASS_MID_LAST) && !class_is_mid(CLASS_MID_LAST + 1));
    CHECK(!class_is_block(CLASS_NONE) && class_is_block(CLASS_LAST) && !class_is_block(CLASS_RUN));
    CHECK(!class_is_block(CLASS_ROUTED));
}

PROMISE(every_class_is_larger_than_the_one_before_and_keeps_16_byte_alignment) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        CHECK_EQUAL(sizeclass[cls].size % 16, 0);
        CHECK(cls == CLASS_FIRST || sizeclass[cls].size > sizeclass[cls - 1].size);
    }
}

PROMISE(mean_waste_from_1_to_8_kib_is_below_a_twentieth) {
    double waste = 0;
    size_t n = 0;
    for (size_t size = TINY_MAX; size <= 8 * KIB; size++, n++) {
        double block = sizeclass[class_of(size)].size;
        waste += (block - (double)size) / block;
    }
    CHECK(waste / (double)n < 0.05);
}

PROMISE(a_span_has_room_for_its_blocks_and_its_bitmap_for_their_bits) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        const struct sizeclass *class = &sizeclass[cls];
        size_t used = (size_t)class->blocks * class->size;
        CHECK(class->granules >= 1 && class->granules <= 16);
        CHECK(used <= class->granules * GRANULE);
        CHECK(class->blocks >= 1);
        CHECK(class->blocks <= SPAN_WORDS * 64);
    }
}

PROMISE(a_span_wastes_little_of_itself_unless_it_is_as_long_as_spans_get) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        const struct sizeclass *class = &sizeclass[cls];
        size_t bytes = class->granules * GRANULE;
        size_t waste = bytes - (size_t)class->blocks * class->size;
        CHECK(class->granules == 16 || waste * (class->size > SMALL_MAX ? 16 : 32) <= bytes);
    }
}

PROMISE(batches_fit_twice_into_the_slots_of_a_bin) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        CHECK(sizeclass[cls].batch >= 1);
        CHECK(2 * sizeclass[cls].batch <= sizeclass[cls].slots);
        CHECK(sizeclass[cls].slots <= 4096);
    }
}

PROMISE(an_aligned_class_is_the_smallest_whose_blocks_all_begin_aligned) {
    for (size_t alignment = 1; alignment <= GRANULE; alignment *= 2) {
        for (size_t size = 0; size <= LARGE_MAX; size = size < 40 ? size + 1 : size + size / 3) {
            unsigned expected = CLASS_NONE;
            for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT && expected == CLASS_NONE; cls++) {
                if (sizeclass[cls].size >= size && sizeclass[cls].size % alignment == 0) {
                    expected = cls;
                }
            }
            CHECK_EQUAL(sizeclass_aligned(size, alignment), expected);
        }
    }
}

PROMISE(what_no_class_can_hold_or_align_gets_none) {
    CHECK_EQUAL(sizeclass_aligned(LARGE_MAX + 1, 16), CLASS_NONE);
    CHECK_EQUAL(sizeclass_aligned(1, 2 * GRANULE), CLASS_NONE);
    CHECK_EQUAL(sizeclass_aligned(SIZE_MAX, 16), CLASS_NONE);
}
