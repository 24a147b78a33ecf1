#include "block.h"

#include <stdatomic.h>
#include <string.h>

#include "clock.h"
#include "verify.h"

enum { SMALLEST_PAGE = 4096 };

/* Counts down to the next timed operation; the distance is uniform in 1 .. 2 x every - 1, so no
 * period of the workload can hide from the sample. */
static inline bool timed_now(struct worker *worker) {
    if (--worker->until_timed) {
        return false;
    }
    uint32_t every = atomic_load_explicit(&worker->run->latency_every, memory_order_relaxed);
    worker->until_timed = 1 + random_below(&worker->timing, 2 * every - 1);
    return atomic_load_explicit(&worker->run->in_window, memory_order_acquire);
}

static void add_time(struct worker *worker, struct histogram *histogram, uint64_t ticks) {
    histogram_add(histogram, (uint64_t)((double)ticks * worker->run->tick_ns));
}

static inline void count_operation(struct worker *worker) {
    if (!(++worker->operations & 31)) {
        worker_publish(worker);
    }
}

/* One digest of the calls and sizes of a thread's first allocations, in runs of a fixed number of
 * operations. Frees are left out: which block of another thread arrives when is not the stream's.
 */
static inline void record_stream(struct worker *worker, enum wk_call kind, uint32_t size) {
    if (worker->recorded >= worker->run->request->operation_limit / 4) {
        return;
    }
    worker->recorded++;
    worker->digest = random_scatter(worker->digest ^ ((uint64_t)kind << 32 | size));
}

static void *call(struct worker *worker, enum wk_call kind, size_t size, size_t alignment) {
    switch (kind) {
    case WK_CALLOC:
        return calloc(1, size);
    case WK_ALIGNED_ALLOC:
        /* C11 asks for a multiple of the alignment; callers know only their size. */
        (void)worker;
        return aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
    default:
        return malloc(size);
    }
}

static void touch(const struct block *block, enum wk_touch how) {
    switch (how) {
    case WK_TOUCH_NONE:
        break;
    case WK_TOUCH_PAGES:
        for (uint32_t at = 0; at < block->size; at += SMALLEST_PAGE) {
            ((volatile char *)block->address)[at] = 1;
        }
        break;
    case WK_TOUCH_ALL:
        memset(block->address, 1, block->size);
        break;
    default:
        block_touch(block->address, block->size, how);
    }
}

static void work(struct worker *worker, uint32_t rounds) {
    uint64_t value = worker->sink;
    for (uint32_t round = 0; round < rounds; round++) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(value)); /* or the compiler folds the rounds */
    }
    worker->sink = value;
}

static struct block make(struct worker *worker, enum wk_call kind, struct block block,
                         uint64_t alignment) {
    const struct wk_request *request = worker->run->request;
    count_operation(worker);
    record_stream(worker, kind, block.size);
    if (timed_now(worker)) {
        uint64_t start = clock_ticks();
        block.address = call(worker, kind, block.size, alignment);
        add_time(worker, worker->malloc_times, clock_ticks() - start);
    } else {
        block.address = call(worker, kind, block.size, alignment);
    }
    if (unlikely(block.address == NULL)) {
        worker->failed++;
        return block;
    }
    worker->live += block.size;
    if (unlikely(request->verify)) {
        if ((kind == WK_CALLOC && !verify_zero(worker, &block)) ||
            !verify_aligned(worker, &block, alignment)) {
            return block;
        }
        verify_fill(worker, &block);
    } else {
        touch(&block, (enum wk_touch)request->touch);
    }
    if (request->work) {
        work(worker, request->work);
    }
    return block;
}

static struct block next_size(struct worker *worker) {
    uint32_t place = size_place(worker->cursor++, worker->order);
    struct block block = {NULL, worker->run->request->sizes[place], place};
    return block;
}

/* What malloc promises for any size: max_align_t, but no more than the size needs. */
static uint64_t natural_alignment(uint32_t size) {
    return size >= 16 ? 16 : size >= 8 ? 8 : 1;
}

static struct block make_by_realloc(struct worker *worker, enum wk_call kind, struct block last) {
    struct block first = next_size(worker);
    if (kind == WK_REALLOC_GROW ? first.size > last.size
                                : kind == WK_REALLOC_SHRINK && first.size < last.size) {
        struct block larger = first;
        first = last;
        last = larger;
    }
    first = make(worker, WK_MALLOC, first, natural_alignment(first.size));
    if (first.address != NULL) {
        block_resize(worker, &first, last.size);
        if (first.size == last.size) {
            first.index = last.index;
        }
    }
    return first;
}

struct block block_make(struct worker *worker) {
    return block_make_at(worker, size_place(worker->cursor++, worker->order));
}

struct block block_make_at(struct worker *worker, uint32_t place) {
    const struct wk_request *request = worker->run->request;
    struct block block = {NULL, request->sizes[place], place};
    if (request->plain) {
        return make(worker, WK_MALLOC, block, natural_alignment(block.size));
    }
    uint32_t turn = worker->call_cursor++;
    enum wk_call kind = request->calls[turn % WK_CALLS];
    if (kind == WK_ALIGNED_ALLOC) {
        /* The alignment goes its own way through its table, or it would follow the call's. */
        uint32_t way = (uint32_t)(random_scatter(turn) % WK_ALIGNMENTS);
        return make(worker, kind, block, (uint64_t)1 << request->alignments[way]);
    }
    if (kind == WK_MALLOC || kind == WK_CALLOC) {
        return make(worker, kind, block, natural_alignment(block.size));
    }
    return make_by_realloc(worker, kind, block);
}

struct block block_make_sized(struct worker *worker, uint32_t size) {
    struct block block = {NULL, size, 0};
    return make(worker, WK_MALLOC, block, natural_alignment(size));
}

void block_resize(struct worker *worker, struct block *block, uint32_t size) {
    struct run *run = worker->run;
    bool verify = run->request->verify;
    if (verify && (atomic_load_explicit(&run->violated, memory_order_relaxed) ||
                   !block_check(worker, block, worker->index))) {
        return;
    }
    uint64_t base = (uint64_t)(uintptr_t)block->address;
    count_operation(worker);
    record_stream(worker, WK_REALLOC_RANDOM, size);
    char *moved;
    if (timed_now(worker)) {
        uint64_t start = clock_ticks();
        moved = realloc(block->address, size);
        add_time(worker, worker->malloc_times, clock_ticks() - start);
    } else {
        moved = realloc(block->address, size);
    }
    if (moved == NULL) {
        worker->failed++;
        return;
    }
    uint32_t before = block->size;
    worker->live += (int64_t)size - before;
    block->address = moved;
    block->size = size;
    if (!verify) {
        touch(block, (enum wk_touch)run->request->touch);
        return;
    }
    if (verify_check(worker, moved, base, before, before < size ? before : size, worker->index) &&
        verify_aligned(worker, block, natural_alignment(size))) {
        verify_fill(worker, block);
    }
}

bool block_check(struct worker *worker, const struct block *block, uint32_t owner) {
    if (!worker->run->request->verify || block->address == NULL) {
        return true;
    }
    return verify_check(worker, block->address, (uint64_t)(uintptr_t)block->address, block->size,
                        block->size, owner);
}

void block_release(struct worker *worker, struct block *block, uint32_t owner) {
    struct run *run = worker->run;
    char *address = block->address;
    if (address == NULL) {
        return;
    }
    block->address = NULL;
    if (unlikely(run->request->verify)) {
        struct block whole = {address, block->size, block->index};
        /* After a violation nothing is freed: a broken heap should live to be reported. */
        if (atomic_load_explicit(&run->violated, memory_order_relaxed) ||
            !block_check(worker, &whole, owner)) {
            return;
        }
        verify_mark_released(&whole);
    }
    count_operation(worker);
    worker->live -= block->size;
    if (timed_now(worker)) {
        uint64_t start = clock_ticks();
        free(address);
        add_time(worker, worker->free_times, clock_ticks() - start);
    } else {
        free(address);
    }
}

void block_read(struct worker *worker, const struct block *block) {
    uint64_t sum = 0;
    for (uint32_t at = 0; block->address != NULL && at + 8 <= block->size; at += 8) {
        uint64_t word;
        memcpy(&word, block->address + at, 8);
        sum += word;
    }
    worker->sink += sum;
}
