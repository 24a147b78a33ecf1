/* limits: what a process may map, lock or dump is about what it uses, and limits hold from when
 * they are set. */
#include "child.h"
#include "hakmem.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes of address space this process has. */
static size_t mapped(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * PAGE;
}

/* What this process has, and so much more. */
static void limit(__rlimit_resource_t resource, size_t more) {
    struct rlimit limit = {mapped() + more, mapped() + more};
    CHECK(setrlimit(resource, &limit) == 0);
}

#define BLOCKS 200000

/* Takes blocks of a size until there is no memory, at most `most` bytes; returns the bytes. */
static size_t fill(char **blocks, size_t size, size_t most) {
    size_t n = 0;
    errno = 0;
    while (n < BLOCKS && n * size < most && (blocks[n] = hak_malloc(size)) != NULL) {
        blocks[n++][0] = 1;
    }
    CHECK(n * size >= most || errno == ENOMEM);
    blocks[n] = NULL;
    return n * size;
}

static void empty(char **blocks) {
    for (; *blocks != NULL; blocks++) {
        hak_free(*blocks);
    }
}

static void *nothing(void *argument) {
    return argument;
}

static char *blocks[BLOCKS + 1];

PART(meet_a_limit_set_while_running) {
    hak_free(hak_malloc(1000));
    limit(RLIMIT_AS, 512 * MIB);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    void *page = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    void *large = hak_malloc(100 * MIB);
    CHECK(large != NULL);
    size_t got = fill(blocks, MIB, GIB);
    CHECK(got >= 300 * MIB && got < 512 * MIB);
    empty(blocks);
    hak_free(large);
}

/* Each kind of block in turn gets most of what there may be: what the others left is given up. */
static void take_turns(void) {
    static const size_t sizes[] = {2000, 40 << 20, 50000, 100, 3 << 20, 200 << 20, 700000};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t most = sizes[i] == 100 ? 18 * MIB : 200 * MIB;
            size_t got = fill(blocks, sizes[i], most);
            CHECK(got >= most);
            empty(blocks);
        }
    }
}

PART(take_turns_under_an_address_space_limit) {
    limit(RLIMIT_AS, 290 * MIB);
    take_turns();
}

PART(take_turns_under_a_data_limit) {
    limit(RLIMIT_DATA, 290 * MIB);
    take_turns();
}

PART(grow_in_place_of_what_is_free) {
    limit(RLIMIT_AS, 300 * MIB);
    char *block = hak_malloc(40 * MIB);
    CHECK(block != NULL);
    block[40 * MIB - 1] = 9;
    CHECK(fill(blocks, 300000, 200 * MIB) >= 200 * MIB);
    empty(blocks);
    block = hak_realloc(block, 250 * MIB);
    CHECK(block != NULL && block[40 * MIB - 1] == 9);
    hak_free(block);
}

PART(align_far) {
    limit(RLIMIT_AS, 100 * MIB);
    for (size_t size = 0; size <= 50000; size = size * 7 + 1) {
        for (size_t alignment = 16; alignment <= 4 * GIB; alignment *= 2) {
            void *block = NULL;
            CHECK_EQUAL(hak_posix_memalign(&block, alignment, size), 0);
            CHECK(block != NULL && (uintptr_t)block % alignment == 0);
            hak_free(block);
        }
    }
}

PART(be_small) {
    hak_free(hak_malloc(1));
    CHECK(mapped() < 34 * MIB);
}

PART(lock_what_is_mapped) {
    hak_free(hak_malloc(1));
    struct rlimit limit = {34 * MIB, 34 * MIB};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (getuid() == 0 && setuid(65534) != 0)) {
        return; /* this user may not lock so much */
    }
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    CHECK(fill(blocks, 5000, 8 * MIB) >= 8 * MIB);
    empty(blocks);
    CHECK(hak_trim() == 1);
    fill(blocks, 5000, GIB);
    empty(blocks);
    CHECK(hak_malloc(100000) != NULL);
}

static void run(const char *part, size_t address_limit) {
    char *none[] = {NULL};
    if (SANITIZED) {
        return;
    }
    struct ending end = child_again(part, none, address_limit);
    CHECK(end.code == 0 || (fputs(end.said, stderr), 0));
}

PROMISE(a_limit_set_while_running_stops_a_runaway_and_nothing_before) {
    run("meet_a_limit_set_while_running", 0);
}

PROMISE(blocks_of_one_kind_get_the_address_space_that_another_has_left) {
    run("take_turns_under_an_address_space_limit", 0);
}

PROMISE(blocks_of_one_kind_get_the_data_space_that_another_has_left) {
    run("take_turns_under_a_data_limit", 0);
}

PROMISE(a_huge_block_grows_into_the_address_space_that_others_have_left) {
    run("grow_in_place_of_what_is_free", 0);
}

PROMISE(a_block_of_few_bytes_or_none_can_have_an_alignment_beyond_what_may_be_mapped) {
    run("align_far", 0);
}

PROMISE(a_small_process_has_little_address_space_and_starts_in_little) {
    run("be_small", 0);
    run("be_small", 40 * MIB);
}

PROMISE(an_ordinary_user_can_lock_a_small_process) {
    run("lock_what_is_mapped", 0);
}
