/* Real limits: RLIMIT_DATA, RLIMIT_AS. Fill until NULL, keep every byte, resume after free. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "areas.h"
#include "block.h"
#include "group.h"
#include "memory.h"
#include "process.h"
#include "team.h"

enum { MOST = 4 * 1000 * 1000, ROOM_MIB = 160 };

/* Fills with blocks of one size until refused; drops all; returns how many there were. */
static size_t fill_up(struct block *blocks, size_t bytes) {
    size_t count = 0;
    while (count < MOST && block_try(&blocks[count], BY_MALLOC, bytes, 1)) {
        count++;
    }
    for (int i = 0; i < 50; i++) {
        struct block extra;
        if (block_try(&extra, BY_CALLOC, bytes, 1)) {
            block_drop(&extra);
        }
    }
    return count;
}

static void empty(struct block *blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        block_drop(&blocks[i]);
    }
}

static void fill_repeatedly(size_t bytes) {
    struct block *blocks = memory_pages((size_t)MOST * sizeof *blocks);
    size_t first = fill_up(blocks, bytes);
    empty(blocks, first);
    REQUIRE(first * bytes > (size_t)ROOM_MIB * MIB / 4, "only %zu blocks of %zu bytes fit", first,
            bytes);
    for (int round = 0; round < 2; round++) {
        size_t again = fill_up(blocks, bytes);
        empty(blocks, again);
        REQUIRE(again >= first - first / 8, "%zu blocks of %zu bytes at first, then %zu", first,
                bytes, again);
    }
}

static void limit_data(void) {
    memory_limit_data((size_t)(ROOM_MIB + 160) * MIB); /* 128 MB for the table of blocks */
}

static void tiny_arm(void) {
    fill_repeatedly(48);
}

static void mid_arm(void) {
    fill_repeatedly(5000);
}

static void large_arm(void) {
    fill_repeatedly(300000);
}

/* Memory that one size gave back serves the next: none is stranded in a class. */
static void sizes_arm(void) {
    static const size_t sizes[] = {64, 1000, 6000, 40000, 400000, 3000000};
    struct block *blocks = memory_pages((size_t)MOST * sizeof *blocks);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t count = fill_up(blocks, sizes[s]);
        empty(blocks, count);
        REQUIRE(count * sizes[s] > (size_t)ROOM_MIB * MIB / 4,
                "after smaller sizes were freed only %zu blocks of %zu bytes fit", count, sizes[s]);
    }
}

static void tiny(void) {
    arm_decides("pressure.tiny_arm", limit_data);
}

static void mid(void) {
    arm_decides("pressure.mid_arm", limit_data);
}

static void large(void) {
    arm_decides("pressure.large_arm", limit_data);
}

static void sizes(void) {
    arm_decides("pressure.sizes_arm", limit_data);
}

/* Half of the blocks are freed under full pressure: new ones of that size are served. */
static void half_arm(void) {
    struct block *blocks = memory_pages((size_t)MOST * sizeof *blocks);
    for (size_t bytes = 100; bytes < 1000000; bytes *= 20) {
        size_t count = fill_up(blocks, bytes);
        for (size_t i = 0; i < count; i += 2) {
            block_drop(&blocks[i]);
        }
        for (size_t i = 0; i < count / 2; i += 2) {
            block_take(&blocks[i], BY_MALLOC, bytes, 2);
        }
        empty(blocks, count);
    }
}

static void half(void) {
    arm_decides("pressure.half_arm", limit_data);
}

/* realloc at the edge: the old block stays whole when the new one is refused. */
static void growing_arm(void) {
    struct block block;
    block_take(&block, BY_MALLOC, 1000, 1);
    while (block_try_resize(&block, block.bytes + block.bytes / 2, 1)) {
        continue;
    }
    REQUIRE(block.bytes > (size_t)MIB, "realloc is refused at %zu bytes", block.bytes);
    block_resize(&block, 100, 1);
    block_drop(&block);
}

static void growing(void) {
    arm_decides("pressure.growing_arm", limit_data);
}

static void limit_addresses(void) {
    memory_limit_address_space((size_t)512 * MIB);
}

static void addresses_arm(void) {
    struct block blocks[2000];
    size_t count = 0;
    while (count < 2000 && block_try(&blocks[count], BY_MALLOC, 500000, 1)) {
        count++;
    }
    REQUIRE(count < 2000, "1 GB was served under RLIMIT_AS of 512 MiB");
    REQUIRE(count > 100, "only %zu blocks of 500 000 bytes fit in 512 MiB", count);
    for (size_t i = 0; i < count; i++) {
        block_drop(&blocks[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        block_take(&blocks[i], BY_MALLOC, 500000, 1);
    }
    for (size_t i = 0; i < 100; i++) {
        block_drop(&blocks[i]);
    }
}

static void addresses(void) {
    arm_decides("pressure.addresses_arm", limit_addresses);
}

static void fill_in_thread(size_t index, void *argument) {
    (void)argument;
    size_t bytes = (size_t)100 << index;
    size_t most = (size_t)256 * MIB / bytes, count = 0;
    struct block *blocks = memory_pages(most * sizeof *blocks);
    for (int round = 0; round < 2; round++) {
        while (count < most && block_try(&blocks[count], BY_MALLOC, bytes, 1)) {
            count++;
        }
        while (count > 0) {
            block_drop(&blocks[--count]);
        }
    }
}

static void threads_arm(void) {
    team_run(4, fill_in_thread, NULL);
    struct block block;
    block_take(&block, BY_MALLOC, (size_t)4 * MIB, 1);
    block_drop(&block);
}

static void threads(void) {
    arm_decides("pressure.threads_arm", limit_data);
}

/* A control group kills, it does not refuse: what is freed must serve what is taken next, whatever
 * its size, or the limit is met though little is live. */
static void group_arm(void) {
    static const size_t sizes[] = {64, 1000, 6000, 40000, 400000, 3000000, 38000000};
    struct block *blocks = memory_pages((size_t)MOST * sizeof *blocks);
    for (size_t round = 0; round < effort(4, 2); round++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            size_t count = (size_t)40 * MIB / sizes[s];
            for (size_t i = 0; i < count; i++) {
                block_take(&blocks[i], BY_MALLOC, sizes[s], 1);
            }
            empty(blocks, count);
        }
    }
}

static void group(void) {
    struct outcome outcome;
    group_make((size_t)ROOM_MIB * MIB);
    arm_run("pressure.group_arm", group_enter, &outcome);
    group_remove();
    if (outcome.status == 0) {
        return;
    }
    if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_INAPPLICABLE) {
        inapplicable("a control group was made, but cannot be entered");
    }
    char how[64];
    status_describe(outcome.status, how, sizeof how);
    broken("40 MiB live under a limit of %d MiB: ended by %s", ROOM_MIB, how);
}

static const struct probe rows[] = {
    ROW("tiny", "tiny blocks to the limit: NULL, ENOMEM, all freed, all served again", tiny, SLOW),
    ROW("mid", "the same with 5000-byte blocks", mid, SLOW),
    ROW("large", "the same with 300 000-byte blocks", large, SLOW),
    ROW("sizes", "memory freed under the limit serves every other size", sizes, SLOW),
    ROW("half", "half of the blocks freed under full pressure serve their size again", half, SLOW),
    ROW("growing", "realloc to the limit keeps the block when refused", growing, QUICK),
    ROW("address-space", "RLIMIT_AS of 512 MiB: NULL, ENOMEM, served again", addresses, QUICK),
    ROW("threads", "four threads fill to the limit together", threads, SLOW),
    ROW("control-group", "a control group's limit of four times what is live is never met", group,
        SLOW),
    ROW("tiny_arm", "", tiny_arm, HIDDEN),
    ROW("mid_arm", "", mid_arm, HIDDEN),
    ROW("large_arm", "", large_arm, HIDDEN),
    ROW("sizes_arm", "", sizes_arm, HIDDEN),
    ROW("half_arm", "", half_arm, HIDDEN),
    ROW("growing_arm", "", growing_arm, HIDDEN),
    ROW("addresses_arm", "", addresses_arm, HIDDEN),
    ROW("threads_arm", "", threads_arm, HIDDEN),
    ROW("group_arm", "", group_arm, HIDDEN),
};

const struct area pressure_area = AREA("pressure", rows);
