/* Allocate, swap the block into a random place that all threads share, free what came out: with N
 * threads, (N - 1) / N of the frees are of another thread's block. */
#include "quick.h"
#include "shared_slots.h"

static bool prepare(struct run *run) {
    struct shared_slots *slots = run_take(run, sizeof *slots);
    double total = run_parameter(run, "total_slots");
    double each = run_parameter(run, "slots");
    run->shared = slots;
    return slots != NULL &&
           shared_slots_prepare(run, slots, total > 0 ? total : each * run->threads);
}

static void fill(struct worker *worker) {
    shared_slots_fill(worker, worker->run->shared);
}

static void drain(struct worker *worker) {
    shared_slots_drain(worker, worker->run->shared);
}

static void general(struct worker *worker, uint64_t count) {
    struct run *run = worker->run;
    struct shared_slots *slots = run->shared;
    for (; count && !run_stopping(run); count--) {
        uint32_t position = random_below(&worker->random, slots->count);
        struct block out = shared_slots_swap(run, slots, position, block_make(worker));
        block_release(worker, &out, ANYONE);
    }
}

static ALWAYS_INLINE void exchange(struct worker *worker, uint64_t count, const enum wk_touch touch,
                                   const enum source source) {
    struct quick quick = quick_begin(worker);
    struct run *run = worker->run;
    struct shared_slots *slots = run->shared;
    uint64_t operations = 2 * count;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t position = random_below(&quick.random, slots->count);
        struct block in = {NULL, 0, 0};
        uint64_t size;
        in.address = quick_make(&quick, &size, &in.index, touch, source);
        in.size = (uint32_t)size;
        struct block out = shared_slots_swap(run, slots, position, in);
        if (unlikely(out.address == NULL)) {
            operations--;
        } else {
            quick_free(&quick, out.address, out.size, source);
        }
    }
    quick_end(worker, &quick, operations);
}

QUICK_VARIANTS(exchange)

const struct kernel kernel_exchange = {.name = "exchange",
                                       .prepare = prepare,
                                       .fill = fill,
                                       .general = general,
                                       .fast = exchange_fast,
                                       .bare = exchange_bare,
                                       .drain = drain,
                                       .step_operations = 2};
