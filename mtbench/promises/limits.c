/* Big things: blocks beyond 4 GiB, more mappings than the kernel's default limit likes. And limits
 * that the program sets itself while it runs. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"
#include "memory.h"
#include "team.h"

static const size_t five_gib = (size_t)5 << 30;

/* Touches a page every 64 MiB, so that a 5 GiB block costs less than one megabyte. */
static void mark(unsigned char *block, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64 * (size_t)MIB) {
        memcpy(block + at, &at, sizeof at);
    }
    block[bytes - 1] = 0x77;
}

static void marked(const unsigned char *block, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64 * (size_t)MIB) {
        REQUIRE(memcmp(block + at, &at, sizeof at) == 0, "byte %zu of a %zu-byte block changed", at,
                bytes);
    }
}

static unsigned char *beyond(unsigned char *block, const char *name) {
    if (block == NULL && memory_available() < 8 * five_gib / 5) {
        inapplicable("needs 8 GiB of free memory to be granted 5");
    }
    REQUIRE(block != NULL, "%s of 5 GiB = NULL", name);
    return block;
}

static void above_four_gib(void) {
    unsigned char *block = beyond(heap.malloc(five_gib), "malloc");
    REQUIRE(heap.malloc_usable_size(block) >= five_gib, "5 GiB has %zu usable bytes",
            heap.malloc_usable_size(block));
    mark(block, five_gib);
    marked(block, five_gib);
    REQUIRE(block[five_gib - 1] == 0x77, "the last byte of 5 GiB changed");
    heap.free(block);
    block = beyond(heap.memalign((size_t)1 << 21, five_gib), "memalign");
    REQUIRE((uintptr_t)block % (1 << 21) == 0, "memalign(2 MiB, 5 GiB) = %p", (void *)block);
    mark(block, five_gib);
    marked(block, five_gib);
    heap.free(block);
}

static void calloc_above_four_gib(void) {
    unsigned char *block = beyond(heap.calloc(five_gib / 1024, 1024), "calloc");
    for (size_t at = 0; at < five_gib; at += 16 * (size_t)MIB) {
        REQUIRE(block[at] == 0, "calloc of 5 GiB: byte %zu is not zero", at);
    }
    heap.free(block);
}

static void realloc_across_four_gib(void) {
    size_t three = (size_t)3 << 30;
    unsigned char *block = beyond(heap.malloc(three), "malloc");
    mark(block, three);
    block = beyond(heap.realloc(block, five_gib), "realloc");
    marked(block, three);
    REQUIRE(heap.malloc_usable_size(block) >= five_gib, "realloc to 5 GiB has %zu usable bytes",
            heap.malloc_usable_size(block));
    mark(block, five_gib);
    block = heap.realloc(block, three);
    REQUIRE(block != NULL, "realloc from 5 to 3 GiB = NULL");
    marked(block, three);
    heap.free(block);
}

enum { BLOCKS = 60000 };

/* vm.max_map_count is 65530 by default. Holes make neighbours separate mappings. */
static void many_mappings(void) {
    size_t count = effort(BLOCKS, BLOCKS), bytes = 160 * KIB;
    unsigned char **held = memory_pages(count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(bytes);
        REQUIRE(held[i] != NULL, "malloc(160 KiB) = NULL after %zu blocks, with %zu mappings", i,
                memory_mappings());
        memcpy(held[i], &i, sizeof i);
    }
    for (size_t i = 0; i < count; i += 2) {
        heap.free(held[i]);
        held[i] = NULL;
    }
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED, "%zu mappings: no more for the program", memory_mappings());
    munmap(page, 4096);
    for (size_t i = 0; i < count; i += 2) {
        held[i] = heap.malloc(bytes + 4096);
        REQUIRE(held[i] != NULL, "malloc = NULL into the holes, with %zu mappings",
                memory_mappings());
        memcpy(held[i], &i, sizeof i);
    }
    for (size_t i = 0; i < count; i++) {
        REQUIRE(memcmp(held[i], &i, sizeof i) == 0, "block %zu changed", i);
        heap.free(held[i]);
    }
}

static void many_aligned_mappings(void) {
    size_t count = effort(20000, 10000);
    unsigned char **held = memory_pages(count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.memalign(1 << 16, 200 * KIB);
        REQUIRE(held[i] != NULL, "memalign(64 KiB, 200 KiB) = NULL after %zu, with %zu mappings", i,
                memory_mappings());
        REQUIRE((uintptr_t)held[i] % (1 << 16) == 0, "memalign(64 KiB) = %p", (void *)held[i]);
        memcpy(held[i], &i, sizeof i);
    }
    for (size_t i = 0; i < count; i++) {
        REQUIRE(memcmp(held[i], &i, sizeof i) == 0, "block %zu changed", i);
        heap.free(held[i]);
    }
}

static void million_live(void) {
    size_t count = effort(4000000, 1000000);
    unsigned char **held = memory_pages(count * sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = heap.malloc(1 + i % 100);
        REQUIRE(held[i] != NULL, "malloc = NULL after %zu blocks", i);
        held[i][0] = (unsigned char)i;
    }
    for (size_t i = 0; i < count; i++) {
        REQUIRE(held[i][0] == (unsigned char)i, "block %zu of %zu changed", i, count);
        heap.free(held[i]);
    }
}

/* Takes blocks until refused, at most so many; frees all; returns how many there were. */
static size_t run_away(void **held, size_t most, size_t bytes) {
    size_t count = 0;
    errno = 0;
    while (count < most && (held[count] = heap.malloc(bytes)) != NULL) {
        *(char *)held[count++] = 1;
    }
    REQUIRE(count == most || errno == ENOMEM, "refused with errno %d", errno);
    for (size_t i = 0; i < count; i++) {
        heap.free(held[i]);
    }
    return count;
}

static void *do_nothing(void *argument) {
    return argument;
}

/* The limit is the program's own and set while it runs; a hundred MiB of it are in use. */
static void limited_to(size_t limit, void (*set)(size_t)) {
    enum { SMALL = 20000 };
    size_t large = limit / MIB, small = limit / SMALL;
    void **held = memory_pages(2 * small * sizeof *held);
    heap.free(heap.malloc(SMALL));
    set(limit);
    thread_join(thread_start_with_stack(do_nothing, NULL, 8 * MIB));
    void *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED, "the program's own mmap of 1 MiB is refused: %s", strerror(errno));
    void *block = heap.malloc((size_t)100 * MIB);
    REQUIRE(block != NULL, "malloc(100 MiB) = NULL under a limit of %zu MiB", large);
    size_t first = run_away(held, 2 * large, MIB);
    REQUIRE(first < large, "a runaway loop took %zu MiB under a limit of %zu", first, large);
    REQUIRE(first >= large / 2, "a loop is stopped at %zu MiB, the limit is %zu", first, large);
    size_t again = run_away(held, 2 * large, MIB);
    REQUIRE(again >= first - first / 4, "%zu MiB at first, then %zu", first, again);
    REQUIRE(run_away(held, 2 * small, SMALL) < small, "small blocks pass the limit");
    heap.free(block);
    thread_join(thread_start_with_stack(do_nothing, NULL, 8 * MIB));
}

static void own_address_space(void) {
    limited_to((size_t)1 << 30, memory_limit_address_space);
}

static void own_data(void) {
    limited_to((size_t)768 * MIB, memory_limit_data);
}

/* As an ordinary user, who may lock so much: the process with its malloc is smaller. */
static void locked(void) {
    enum { ALLOWED = 64 * MIB, LEAST = 16 * MIB, NOBODY = 65534 };
    struct rlimit lock = {ALLOWED, ALLOWED};
    heap.free(heap.malloc(1000));
    if (setrlimit(RLIMIT_MEMLOCK, &lock) != 0) {
        getrlimit(RLIMIT_MEMLOCK, &lock);
        lock.rlim_cur = lock.rlim_max;
        if (lock.rlim_max < LEAST || setrlimit(RLIMIT_MEMLOCK, &lock) != 0) {
            inapplicable("an ordinary user may lock less than %d MiB here", LEAST / MIB);
        }
    }
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
        inapplicable("cannot become an ordinary user");
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        broken("mlockall of a small process with a limit of %zu MiB: %s",
               (size_t)lock.rlim_cur / MIB, strerror(errno));
    }
    for (size_t bytes = 100; bytes <= MIB; bytes *= 10) {
        char *block = heap.malloc(bytes);
        REQUIRE(block != NULL, "malloc(%zu) = NULL in a locked process", bytes);
        memset(block, 1, bytes);
        heap.free(block);
    }
    munlockall();
}

static const struct probe rows[] = {
    ROW("above-4gib", "blocks above 4 GiB work, aligned ones too", above_four_gib, QUICK),
    ROW("calloc-4gib", "calloc above 4 GiB works and is zero", calloc_above_four_gib, SLOW),
    ROW("realloc-4gib", "realloc across 4 GiB keeps the bytes", realloc_across_four_gib, SLOW),
    ROW("mappings", "60 000 large blocks with holes do not exhaust vm.max_map_count", many_mappings,
        SLOW),
    ROW("aligned-mappings", "20 000 aligned large blocks do not exhaust vm.max_map_count",
        many_aligned_mappings, SLOW),
    ROW("own-address-space", "RLIMIT_AS set by the program: a thread, mmap, malloc until ENOMEM",
        own_address_space, SLOW),
    ROW("own-data", "RLIMIT_DATA set by the program: the same", own_data, SLOW),
    ROW("locked",
        "an ordinary user's mlockall succeeds with a limit of 64 MiB, or less where less is "
        "allowed",
        locked, QUICK),
    ROW("million-live", "millions of live blocks keep their bytes", million_live, SLOW),
};

const struct area limits_area = AREA("limits", rows);
