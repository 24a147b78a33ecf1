/* errno: untouched by success and by free whatever happened inside, ENOMEM on every failure. */
#include <errno.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "inject.h"
#include "memory.h"
#include "pattern.h"
#include "team.h"

enum { MARK = EXDEV, SLOTS = 256 };

static void marked(const char *name, size_t bytes) {
    REQUIRE(errno == MARK, "%s of %zu bytes changed errno to %d", name, bytes, errno);
}

/* A churn wide enough to refill, flush, map, purge and unmap. */
static void churn(size_t rounds, size_t limit) {
    void **slots = memory_pages(SLOTS * sizeof *slots);
    size_t *sizes = memory_pages(SLOTS * sizeof *sizes);
    uint64_t random = 17;
    errno = MARK;
    for (size_t round = 0; round < rounds; round++) {
        size_t slot = random_below(&random, SLOTS), bytes = block_size_draw(&random, limit);
        heap.free(slots[slot]);
        marked("free", sizes[slot]);
        sizes[slot] = bytes;
        switch (round % 4) {
        case 0:
            slots[slot] = heap.calloc(1, bytes);
            break;
        case 1:
            slots[slot] = heap.memalign(64, bytes);
            break;
        default:
            slots[slot] = heap.malloc(bytes);
            break;
        }
        REQUIRE(slots[slot] != NULL, "%zu bytes are refused", bytes);
        marked("an allocation", bytes);
        if (round % 5 == 0) {
            sizes[slot] = block_size_draw(&random, limit);
            slots[slot] = heap.realloc(slots[slot], sizes[slot]);
            marked("realloc", sizes[slot]);
        }
    }
    for (size_t slot = 0; slot < SLOTS; slot++) {
        heap.free(slots[slot]);
        marked("free", sizes[slot]);
    }
}

static void untouched_small(void) {
    churn(effort(300000, 60000), 32 * KIB);
}

static void untouched_large(void) {
    churn(effort(20000, 4000), 16 * MIB);
}

static void thread_churn(void *argument) {
    (void)argument;
    churn(20000, 64 * KIB);
}

static void *thread_main(void *argument) {
    thread_churn(argument);
    return NULL;
}

static void untouched_in_threads(void) {
    for (int i = 0; i < 8; i++) {
        thread_join(thread_start_with_stack(thread_main, NULL, 256 * KIB));
    }
}

static void free_marked(void *block, size_t bytes) {
    errno = MARK;
    heap.free(block);
    marked("free", bytes);
}

/* free must not tell of a munmap or madvise that failed inside. */
static void free_under_refusal(void) {
    inject_begin();
    void *held[SLOTS];
    for (int round = 0; round < 8; round++) {
        size_t bytes = (size_t)100 << (2 * round);
        for (size_t i = 0; i < (size_t)SLOTS >> round; i++) {
            held[i] = heap.malloc(bytes);
        }
        inject_from(REFUSE_MUNMAP | REFUSE_MADVISE | REFUSE_MPROTECT, 1);
        for (size_t i = 0; i < (size_t)SLOTS >> round; i++) {
            free_marked(held[i], bytes);
        }
        inject_stop();
    }
}

/* An allocation that succeeds although madvise or mremap failed inside is a success all the same.
 */
static void success_under_refusal(void) {
    inject_begin();
    static const unsigned calls[] = {REFUSE_MUNMAP, REFUSE_MADVISE, REFUSE_MREMAP};
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
        inject_from(calls[c], 1);
        churn(effort(3000, 1000), 8 * MIB);
        inject_stop();
    }
}

static void enomem_everywhere(void) {
    size_t big = (size_t)1 << 50;
    struct {
        const char *name;
        void *block;
    } failed[8];
    size_t count = 0;
#define FAIL(EXPRESSION)                                                                           \
    do {                                                                                           \
        errno = 0;                                                                                 \
        failed[count].name = #EXPRESSION;                                                          \
        failed[count].block = EXPRESSION;                                                          \
        REQUIRE(failed[count].block == NULL, "%s succeeded", failed[count].name);                  \
        REQUIRE(errno == ENOMEM, "%s: errno %d, not ENOMEM", failed[count].name, errno);           \
        count++;                                                                                   \
    } while (0)
    void *small = heap.malloc(100);
    FAIL(heap.malloc(big));
    FAIL(heap.calloc(big, 1));
    FAIL(heap.realloc(small, big));
    FAIL(heap.realloc(NULL, big));
    FAIL(heap.memalign(64, big));
    FAIL(heap.aligned_alloc(64, big));
    FAIL(heap.valloc(big));
#undef FAIL
    void *block = NULL;
    errno = MARK;
    REQUIRE(heap.posix_memalign(&block, 64, big) == ENOMEM, "posix_memalign(2^50) is not ENOMEM");
    heap.free(small);
}

static const struct probe rows[] = {
    ROW("untouched-small", "success and free leave errno alone, to 32 KiB", untouched_small, QUICK),
    ROW("untouched-large", "success and free leave errno alone, to 16 MiB", untouched_large, SLOW),
    ROW("untouched-threads", "success and free leave errno alone in fresh threads",
        untouched_in_threads, QUICK),
    ROW("free-refusal", "free leaves errno alone when munmap or madvise fail inside",
        free_under_refusal, QUICK),
    ROW("success-refusal", "success leaves errno alone when munmap, madvise or mremap fail inside",
        success_under_refusal, SLOW),
    ROW("enomem", "every failure says ENOMEM", enomem_everywhere, QUICK),
};

const struct area errno_area = AREA("errno", rows);
