/* guard: pointers that are not ours go to the libc that owns them, and are counted. */
#include "base/os.h"
#include "boxes/guard.h"
#include "child.h"
#include "hakmem.h"

extern void *__libc_malloc(size_t);

PROMISE(blocks_of_ours_are_known_and_strangers_are_not) {
    static const size_t sizes[] = {1, 1000, 5000, 40000, 1 << 20, 3 << 20, 40 << 20};
    int local = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = hak_malloc(sizes[i]);
        CHECK(!guard_knows(block));
        hak_free(block);
    }
    void *stranger = __libc_malloc(100);
    CHECK(guard_knows(stranger) && guard_knows(&local));
    hak_free(stranger);
}

PROMISE(a_block_of_libc_is_freed_by_libc_and_counted) {
    uint64_t before = guard_count();
    for (int i = 0; i < 1000; i++) {
        void *stranger = __libc_malloc(5000);
        CHECK(stranger != NULL);
        memset(stranger, i, 5000);
        hak_free(stranger);
    }
    CHECK_EQUAL(guard_count(), before + 1000);
    /* Really freed: libc hands out first what it got last. */
    void *stranger = __libc_malloc(5000);
    hak_free(stranger);
    CHECK(__libc_malloc(5000) == stranger);
    hak_free(stranger);
    static struct hak_stats stats;
    CHECK(hak_stats(&stats, sizeof stats) == 0);
    CHECK_EQUAL(stats.foreign_frees, before + 1002);
}

PROMISE(a_block_of_libc_keeps_its_contents_through_realloc) {
    char *stranger = __libc_malloc(100);
    CHECK(stranger != NULL);
    memset(stranger, 'x', 100);
    stranger = hak_realloc(stranger, 100000);
    CHECK(stranger != NULL);
    for (int i = 0; i < 100; i++) {
        CHECK(stranger[i] == 'x');
    }
    hak_free(stranger);
}

PROMISE(a_block_of_libc_has_the_size_that_libc_says) {
    if (SANITIZED) {
        return; /* there malloc_usable_size is the sanitizer's, which knows no block of libc's */
    }
    void *stranger = __libc_malloc(1000);
    CHECK(hak_usable_size(stranger) >= 1000 && hak_usable_size(stranger) < 2000);
    hak_free(stranger);
}

static char *nobodys(void) {
    return (char *)os_map(PAGE, PAGE) + 8;
}

static void free_nobodys(void) {
    hak_free(nobodys());
}
static void resize_nobodys(void) {
    CHECK(hak_realloc(nobodys(), 100) == NULL);
}
static void resize_freed_run(void) {
    char *block = hak_malloc(5 << 20);
    hak_free(block);
    CHECK(hak_realloc(block, 10 << 20) == NULL);
}
static void measure_freed_run(void) {
    char *block = hak_malloc(5 << 20);
    hak_free(block);
    CHECK(hak_usable_size(block) == 0);
}

PROMISE(a_pointer_that_nobody_owns_ends_the_process_with_its_address) {
    static void (*const misuses[])(void) = {free_nobodys, resize_nobodys, resize_freed_run,
                                            measure_freed_run};
    for (int i = 0; i < 4; i++) {
        struct ending end = child_fork(misuses[i]);
        CHECK_EQUAL(end.signal, SIGABRT);
        CHECK(strstr(end.said, "hakmem: ") != NULL);
        CHECK(strstr(end.said, "(): invalid pointer: 0x") != NULL);
    }
}
