/* Starting up: before constructors, with nothing open, in no environment, under limits. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "process.h"
#include "seccomp.h"
#include "team.h"

enum { EARLY = 64 };

static struct {
    unsigned char *at;
    size_t bytes;
    uint64_t key;
} early[EARLY];

/* Runs before any constructor, the preloaded library's own included. A failed dlsym allocates its
 * message, so malloc is entered from within dlsym as well. */
static void before_everything(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    (void)environment;
    (void)dlsym(RTLD_DEFAULT, "no library exports this symbol");
    for (size_t i = 0; i < EARLY; i++) {
        early[i].bytes = (i + 1) * (i + 1) * 37;
        early[i].at = malloc(early[i].bytes);
        if (early[i].at == NULL) {
            continue;
        }
        early[i].key = pattern_key(early[i].at, early[i].bytes, 1);
        pattern_fill(early[i].at, early[i].bytes, early[i].key);
    }
    (void)dlerror();
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinit)(int, char **, char **) = before_everything;

static void before_constructors(void) {
    for (size_t i = 0; i < EARLY; i++) {
        REQUIRE(early[i].at != NULL, "malloc(%zu) before constructors = NULL", early[i].bytes);
        size_t wrong = pattern_check(early[i].at, early[i].bytes, early[i].key);
        REQUIRE(wrong == early[i].bytes, "a block taken before constructors lost byte %zu", wrong);
        if (i % 2 == 0) {
            heap.free(early[i].at);
            continue;
        }
        unsigned char *moved = heap.realloc(early[i].at, 2 * early[i].bytes);
        wrong = pattern_check(moved, early[i].bytes, early[i].key);
        REQUIRE(wrong == early[i].bytes, "realloc of an early block lost byte %zu", wrong);
        heap.free(moved);
    }
}

static void from_dlsym(void) {
    for (int i = 0; i < 2000; i++) {
        void *found = dlsym(RTLD_NEXT, i % 2 == 0 ? "malloc" : "there is no such symbol");
        (void)found;
        const char *message = dlerror();
        REQUIRE((message == NULL) == (i % 2 == 0), "dlerror told nothing");
    }
}

static void work(void) {
    struct block held[64] = {0};
    uint64_t random = 61;
    for (int round = 0; round < 3000; round++) {
        struct block *block = &held[random_below(&random, 64)];
        block_drop(block);
        block_take(block, (enum kind)random_below(&random, KINDS),
                   block_size_draw(&random, round % 20 == 0 ? MIB : 16 * KIB), 1);
    }
    for (size_t i = 0; i < 64; i++) {
        block_drop(&held[i]);
    }
}

static void *work_in_thread(void *argument) {
    (void)argument;
    work();
    return NULL;
}

static void work_arm(void) {
    work();
    for (int i = 0; i < 4; i++) {
        thread_join(thread_start_with_stack(work_in_thread, NULL, 64 * KIB));
    }
}

/* Standard descriptors closed at start: whatever opens first gets them, and nobody else may write
 * there. The loader's own /proc/self/exe and the result descriptor are gone as well. */
static void close_standard(void) {
    close(0);
    close(1);
    close(2);
}

static void closed_descriptors_arm(void) {
    int files[3];
    files[0] = memfd_create("output", 0);
    REQUIRE(files[0] >= 0, "memfd_create: %s", strerror(errno));
    files[1] = dup(files[0]);
    files[2] = dup(files[0]);
    if (files[0] > 2) {
        _exit(31); /* the allocator holds a standard descriptor */
    }
    work_arm();
    heap.malloc_trim(0);
    struct stat state;
    fstat(files[0], &state);
    _exit(state.st_size == 0 ? EXIT_KEPT : 32);
}

static void closed_descriptors(void) {
    struct outcome outcome;
    arm_run("start.closed_arm", close_standard, &outcome);
    if (outcome.status == 0) {
        return;
    }
    char how[64];
    status_describe(outcome.status, how, sizeof how);
    if (strcmp(how, "exit code 31") == 0) {
        broken("with closed standard descriptors the allocator keeps one of them open");
    }
    if (strcmp(how, "exit code 32") == 0) {
        broken("with closed standard descriptors the allocator wrote to the program's file");
    }
    broken("with closed standard descriptors: ended by %s", how);
}

static const char *interpreter(void) {
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    ElfW(Addr) base = 0;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR) {
            base = (ElfW(Addr))headers - headers[i].p_vaddr;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_INTERP) {
            return (const char *)(base + headers[i].p_vaddr);
        }
    }
    return NULL;
}

/* Preloads through the loader's own option, as LD_PRELOAD would be an environment. */
static void become_environmentless(void) {
    const char *loader = interpreter();
    const char *arguments[12] = {loader};
    size_t count = 1;
    char *const nothing[] = {NULL};
    if (probe_served_by() != NULL && strcmp(probe_served_by(), "system") != 0) {
        arguments[count++] = "--preload";
        arguments[count++] = probe_served_by();
    }
    arguments[count++] = probe_executable();
    if (probe_served_by() != NULL) {
        arguments[count++] = "--served-by";
        arguments[count++] = probe_served_by();
    }
    arguments[count++] = "--executable";
    arguments[count++] = probe_executable();
    arguments[count++] = "start.work_arm";
    if (loader != NULL) {
        execve(loader, (char *const *)arguments, nothing);
    }
    _exit(EXIT_INAPPLICABLE);
}

static void empty_environment(void) {
    arm_decides("start.work_arm", become_environmentless);
}

static void limit_address_space(void) {
    memory_limit_address_space((size_t)256 * MIB);
}

static void limit_data(void) {
    memory_limit_data((size_t)256 * MIB);
}

static void under_address_space_limit(void) {
    arm_decides("start.work_arm", limit_address_space);
}

static void under_data_limit(void) {
    arm_decides("start.work_arm", limit_data);
}

static void overcommit_off(void) {
    arm_decides("start.work_arm", seccomp_refuse_overcommit);
}

static void without_optional_calls(void) {
    arm_decides("start.work_arm", seccomp_refuse_optional);
}

static void small_main_stack(void) {
    struct rlimit stack = {64 * KIB, 64 * KIB};
    setrlimit(RLIMIT_STACK, &stack);
}

static void under_small_stack(void) {
    arm_decides("start.work_arm", small_main_stack);
}

/* The loader needs a descriptor to read libraries with, so the limit starts here. */
static void without_descriptors(void) {
    struct rlimit files = {0, 0};
    setrlimit(RLIMIT_NOFILE, &files);
    work_arm();
}

static const struct probe rows[] = {
    ROW("before-constructors", "malloc works before any constructor has run", before_constructors,
        QUICK),
    ROW("dlsym", "malloc works when dlsym calls it", from_dlsym, QUICK),
    ROW("closed-descriptors",
        "with closed standard descriptors nothing is written where it should"
        " not be",
        closed_descriptors, QUICK),
    ROW("empty-environment", "malloc works in an empty environment", empty_environment, QUICK),
    ROW("address-space-limit", "malloc works under RLIMIT_AS of 256 MiB", under_address_space_limit,
        QUICK),
    ROW("data-limit", "malloc works under RLIMIT_DATA of 256 MiB", under_data_limit, QUICK),
    ROW("overcommit-off", "malloc works where writable reservations of 1 GiB are refused",
        overcommit_off, QUICK),
    ROW("seccomp", "malloc works under a filter that refuses what is optional",
        without_optional_calls, QUICK),
    ROW("small-stack", "malloc works on a main stack of 64 KiB", under_small_stack, QUICK),
    ROW("no-descriptors", "malloc works when no descriptor can be opened", without_descriptors,
        QUICK),
    ROW("work_arm", "", work_arm, HIDDEN),
    ROW("closed_arm", "", closed_descriptors_arm, HIDDEN),
};

const struct area start_area = AREA("start", rows);
