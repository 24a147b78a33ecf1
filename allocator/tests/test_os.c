/* os: a system that agrees and does nothing is not believed. */
#include "base/os.h"
#include "check.h"

#include <errno.h>
#include <sys/mman.h>

#define BYTES (4 * PAGE_MOST)
#define FILL 0x55

/* What the system says to the two kinds of advice that end pages, where it is not asked. */
static bool asked;
static int says_plain, says_locked;

int __real_sys_madvise(void *at, size_t bytes, int advice);
int __wrap_sys_madvise(void *at, size_t bytes, int advice);
int __wrap_sys_madvise(void *at, size_t bytes, int advice) {
    if (asked) {
        return __real_sys_madvise(at, bytes, advice);
    }
    return advice == MADV_DONTNEED ? says_plain : says_locked;
}

static char *filled(void) {
    char *at = os_map(BYTES, PAGE);
    CHECK(at != NULL);
    memset(at, FILL, BYTES);
    return at;
}

static void check_all(const char *at, char expected) {
    for (size_t i = 0; i < BYTES; i++) {
        CHECK_EQUAL(at[i], expected);
    }
}

static void purge_in_vain(int plain, int locked) {
    char *at = filled();
    asked = false;
    says_plain = plain;
    says_locked = locked;
    CHECK(!os_purge(at, BYTES));
    asked = true;
    check_all(at, FILL);
    CHECK(os_unmap(at, BYTES));
}

PROMISE(pages_that_stay_though_the_system_agreed_are_not_purged_and_keep_their_contents) {
    purge_in_vain(0, 0);
}

/* Resident pages of this process. */
static size_t resident(void) {
    size_t size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%zu %zu", &size, &pages) == 2);
    fclose(file);
    return pages;
}

PROMISE(what_was_written_is_seen_and_looking_takes_no_memory) {
    enum { PAGES = 4096 };
    uint32_t *at = os_map(PAGES * PAGE, PAGE);
    CHECK(at != NULL);
    size_t before = resident();
    for (size_t i = 0; i < PAGES; i++) {
        CHECK(!os_is_written((char *)at + i * PAGE));
    }
    CHECK(resident() - before < PAGES / 16);
    at[7] = 1u << 31;
    CHECK(os_is_written(&at[7]));
    CHECK(!os_is_written(&at[6]));
    CHECK(os_unmap(at, PAGES * PAGE));
}

PROMISE(looking_where_nothing_can_be_read_sees_nothing_and_does_not_fault) {
    uint32_t *at = (uint32_t *)filled();
    CHECK(mprotect(at, BYTES, PROT_NONE) == 0);
    CHECK(!os_is_written(at));
    CHECK(os_unmap(at, BYTES));
    CHECK(!os_is_written(at));
}

PROMISE(locked_pages_that_stay_are_not_purged_though_others_went) {
    purge_in_vain(-EINVAL, 0);
    char *at = filled();
    CHECK(os_purge(at, BYTES));
    check_all(at, 0);
    CHECK(os_unmap(at, BYTES));
    purge_in_vain(-EINVAL, 0);
}

PROMISE(a_refusal_is_one) {
    purge_in_vain(-ENOMEM, 0);
}

PROMISE(what_is_not_whole_pages_is_neither_purged_nor_wiped) {
    char *at = filled();
    asked = true;
    CHECK(!os_purge(at, os_page() / 2));
    CHECK(!os_purge(at + os_page() / 2, os_page()));
    CHECK(!os_wipe_on_fork(at, os_page() / 2));
    check_all(at, FILL);
    CHECK(os_unmap(at, BYTES));
}
