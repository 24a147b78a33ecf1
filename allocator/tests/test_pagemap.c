/* pagemap: from any address to its class and its span. */
#include "base/os.h"
#include "child.h"
#include "hakmem.h"
#include "pages/pages.h"

#include <sys/mman.h>

PROMISE(an_address_that_is_not_ours_has_no_class_and_no_range) {
    int local;
    static int global;
    void *mapping = os_map(PAGE, PAGE);
    const void *strangers[] = {
        NULL, &local, &global, (void *)strlen, mapping, (void *)16, (void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        CHECK(pagemap_range(strangers[i]) == NULL);
        CHECK_EQUAL(pagemap_class(strangers[i]), CLASS_NONE);
    }
    CHECK(os_unmap(mapping, PAGE));
}

PROMISE(the_first_and_the_last_byte_of_a_range_are_in_it_and_their_neighbours_are_not) {
    bool zero;
    struct span *span = pages_take(1, 1, &zero);
    CHECK(span != NULL);
    /* Nearly always the first; where no window may be opened, that is empty. */
    struct range *range = pagemap_range((void *)span->start);
    uintptr_t end = range->base + range->bytes;
    CHECK(pagemap_range((void *)range->base) == range);
    CHECK(pagemap_range((void *)(end - 1)) == range);
    CHECK(pagemap_range((void *)(range->base - 1)) != range);
    CHECK(pagemap_range((void *)end) != range);
    CHECK_EQUAL(range->base % GRANULE, 0);
    pages_give(span);
}

PROMISE(every_granule_of_a_set_span_leads_to_its_class_and_its_span) {
    for (size_t granules = 1; granules <= 16; granules++) {
        bool zero;
        struct span *span = pages_take(granules, 1, &zero);
        CHECK(span != NULL);
        for (size_t i = 0; i < granules; i++) {
            CHECK_EQUAL(pagemap_class((char *)span->start + i * GRANULE), CLASS_NONE);
        }
        pagemap_set(span, (uint32_t)granules, 42);
        for (size_t at = 0; at < granules * GRANULE; at += GRANULE / 2) {
            char *address = (char *)span->start + at;
            CHECK_EQUAL(pagemap_class(address), 42);
            CHECK_EQUAL(pagemap_class(address + GRANULE / 2 - 1), 42);
            CHECK(pagemap_span(address) == span);
        }
        pagemap_set(span, (uint32_t)granules, CLASS_NONE);
        CHECK_EQUAL(pagemap_class((void *)span->start), CLASS_NONE);
        pages_give(span);
    }
}

PROMISE(blocks_of_a_further_range_are_found_used_and_freed) {
    int before = atomic_load(&range_count);
    CHECK(pagemap_add_range(64 * MIB));
    CHECK_EQUAL(atomic_load(&range_count), before + 1);
    const struct range *further = &ranges[before];
    enum { BLOCKS = 3000 };
    static char *blocks[BLOCKS];
    int found = 0;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = i % 3 == 0 ? 100 : i % 3 == 1 ? 5000 : 40000;
        blocks[i] = hak_malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, size);
        found += pagemap_range(blocks[i]) == further;
    }
    CHECK(found > 0);
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = i % 3 == 0 ? 100 : i % 3 == 1 ? 5000 : 40000;
        CHECK(blocks[i][0] == (char)i && blocks[i][size - 1] == (char)i);
        CHECK(hak_usable_size(blocks[i]) >= size);
        blocks[i] = hak_realloc(blocks[i], size * 2);
        CHECK(blocks[i] != NULL && blocks[i][size - 1] == (char)i);
        hak_free(blocks[i]);
    }
}

static char *map_nothing(size_t bytes) {
    char *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

PROMISE(no_range_lies_in_another_though_the_system_places_elsewhere_meanwhile) {
    for (int i = 0; i < 3; i++) {
        /* Every hole above is filled, so that the next page lies elsewhere, far from this one. */
        char *far = map_nothing(64 * MIB), *near = far;
        for (int filled = 0; near >= far && near < far + 8 * GIB && filled < 1000; filled++) {
            near = map_nothing(PAGE);
        }
        CHECK(pagemap_add_range(64 * MIB));
    }
    int count = atomic_load(&range_count);
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < i; k++) {
            CHECK(ranges[i].base + ranges[i].limit <= (uintptr_t)ranges[k].class_of ||
                  ranges[k].base + ranges[k].limit <= (uintptr_t)ranges[i].class_of);
        }
    }
}

PROMISE(ranges_end_with_the_table_and_the_refusal_harms_nobody) {
    while (pagemap_add_range(4 * MIB)) {
    }
    CHECK_EQUAL(atomic_load(&range_count), RANGES_MAX);
    void *block = hak_malloc(3000);
    CHECK(block != NULL);
    hak_free(block);
}

/* Fills three quarters of the little address space there is, in blocks of every box. */
PART(live_in_little_space) {
    enum { BLOCKS = 1200 };
    static char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    unsigned long long state = 5;
    for (int round = 0; round < 3; round++) {
        size_t total = 0;
        for (int i = 0; i < BLOCKS; i++) {
            sizes[i] = (size_t)1 << (4 + check_random(&state) % 17);
            blocks[i] = NULL;
            if (total + sizes[i] < 96 * MIB) {
                blocks[i] = hak_malloc(sizes[i]);
                CHECK(blocks[i] != NULL);
                memset(blocks[i], i, sizes[i]);
                total += sizes[i];
            }
        }
        for (int i = 0; i < BLOCKS; i++) {
            if (blocks[i] != NULL) {
                CHECK(blocks[i][0] == (char)i && blocks[i][sizes[i] - 1] == (char)i);
                hak_free(blocks[i]);
            }
        }
    }
    errno = 0;
    CHECK(hak_malloc(GIB) == NULL && errno == ENOMEM);
    CHECK(hak_malloc(1000) != NULL);
}

PROMISE(a_process_with_256_mib_of_address_space_can_fill_96_of_them) {
    char *none[] = {NULL};
    if (SANITIZED) {
        return;
    }
    struct ending end = child_again("live_in_little_space", none, 256 * MIB);
    CHECK(end.code == 0 || (fputs(end.said, stderr), 0));
}
