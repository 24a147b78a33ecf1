/* No malloc but the workload's: this program's own malloc counts who calls it, and the counts must
 * be the engine's own. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "random.h"
#include "workloads.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static _Atomic uint64_t calls_of_first, calls_of_others;
static __thread int standing; /* 0 unknown, 1 the first thread, 2 another */

static void count(void) {
    if (!standing) {
        standing = syscall(SYS_gettid) == getpid() ? 1 : 2;
    }
    atomic_fetch_add(standing == 1 ? &calls_of_first : &calls_of_others, 1);
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    count();
    return __libc_calloc(number, size);
}
void *realloc(void *block, size_t size) {
    count();
    return __libc_realloc(block, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}
void free(void *block) {
    if (block != NULL) {
        count();
    }
    __libc_free(block);
}

static uint32_t sizes[WK_SIZES];
static uint8_t calls[WK_CALLS], alignments[WK_ALIGNMENTS];
static uint64_t per_thread[4], digests[4], mallocs[WK_BUCKETS], frees[WK_BUCKETS];
static struct wk_sample samples[WK_SAMPLES];
static struct wk_stage_memory stages[WK_STAGES];
static const struct wk_parameter parameters[] = {
    {"slots", 64},
    {"total_slots", 0},
    {"share", 0.5},
    {"long_lived", 0.2},
    {"lifetime", WK_LIFETIME_GENERATIONAL},
    {"handoff", WK_HANDOFF_RING},
    {"ring", 64},
    {"batch", 100},
    {"queue", 3},
    {"producers", 0.5},
    {"blocks", 4},
    {"writes", 4},
    {"objects", 9},
    {"objects_of", WK_OBJECTS_OF_THREAD},
    {"order", WK_ORDER_RANDOM},
    {"limit", 999},
    {"first_object", WK_FIRST_OBJECT_OWN},
    {"consumers", WK_CONSUMERS_ONLY_FREE},
};

static uint64_t run(const char *kernel, double duration) {
    struct wk_request request = {.kernel = kernel,
                                 .threads = 3,
                                 .duration = duration,
                                 .seed = 1,
                                 .latency_every = 256,
                                 .chunk = 16,
                                 .sizes = sizes,
                                 .calls = calls,
                                 .alignments = alignments,
                                 .parameters = parameters,
                                 .parameter_count = sizeof parameters / sizeof parameters[0]};
    struct wk_result result = {.per_thread = per_thread,
                               .digests = digests,
                               .malloc_counts = mallocs,
                               .free_counts = frees,
                               .samples = samples,
                               .stages = stages};
    if (wk_run(&request, &result)) {
        fprintf(stderr, "%s: %s\n", kernel, result.error);
        exit(1);
    }
    return result.total_operations;
}

int main(void) {
    for (uint32_t i = 0; i < WK_SIZES; i++) {
        sizes[i] = 1 + (uint32_t)(random_scatter(i) % 2000);
        calls[i % WK_CALLS] = (uint8_t)(i % 6);
    }
    memset(alignments, 6, sizeof alignments);
    for (uint32_t i = 0; wk_kernel_name(i) != NULL; i++) {
        const char *kernel = wk_kernel_name(i);
        if (strcmp(kernel, "generations") == 0) { /* starts threads, for which libc allocates */
            continue;
        }
        calls_of_others = 0;
        uint64_t operations = run(kernel, 0.03);
        if (calls_of_others != operations) {
            fprintf(stderr, "%s: %lu calls of malloc for %lu operations\n", kernel,
                    (unsigned long)calls_of_others, (unsigned long)operations);
            return 1;
        }
    }
    run("toggle", 0.01);
    uint64_t before = calls_of_first;
    run("toggle", 0.01);
    uint64_t brief = calls_of_first - before;
    run("toggle", 0.3);
    uint64_t extended = calls_of_first - before - brief;
    if (brief != extended) {
        fprintf(stderr,
                "the coordinator called malloc %lu times in a window of 10 ms, %lu in 300\n",
                (unsigned long)brief, (unsigned long)extended);
        return 1;
    }
    return 0;
}
