/* Allocate n objects, then free them all: in order, in reverse, or at random. */
#include "block.h"

struct batch {
    struct block *objects;
    uint32_t used; /* objects[freed .. used) are allocated, or [0, used) in reverse */
    uint32_t freed;
    bool freeing;
    _Alignas(APART) char end[];
};

struct plan {
    uint32_t objects;
    enum wk_order order;
};

static bool prepare(struct run *run) {
    struct plan *plan = run_take(run, sizeof *plan);
    struct batch *batches = run_take(run, run->threads * sizeof *batches);
    if (plan == NULL || batches == NULL) {
        return false;
    }
    run->shared = plan;
    plan->order = (enum wk_order)run_parameter(run, "order");
    plan->objects = (uint32_t)run_parameter(run, "objects");
    if (run_parameter(run, "objects_of") == WK_OBJECTS_OF_ALL) {
        plan->objects = plan->objects / run->threads ? plan->objects / run->threads : 1;
    }
    struct block *all = run_take(run, (size_t)run->threads * plan->objects * sizeof *all);
    if (all == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < run->threads; i++) {
        batches[i].objects = all + (size_t)i * plan->objects;
        run->workers[i].state = &batches[i];
    }
    return true;
}

static void shuffle(struct worker *worker, struct batch *batch) {
    for (uint32_t i = batch->used; i > 1; i--) {
        uint32_t other = random_below(&worker->random, i);
        struct block moved = batch->objects[i - 1];
        batch->objects[i - 1] = batch->objects[other];
        batch->objects[other] = moved;
    }
}

static void free_one(struct worker *worker, struct batch *batch, enum wk_order order) {
    uint32_t at = order == WK_ORDER_REVERSE ? --batch->used : batch->freed++;
    block_release(worker, &batch->objects[at], worker->index);
    if (batch->freed >= batch->used) {
        batch->freed = batch->used = 0;
        batch->freeing = false;
    }
}

static void general(struct worker *worker, uint64_t count) {
    const struct plan *plan = worker->run->shared;
    struct batch *batch = worker->state;
    for (; count && !run_stopping(worker->run); count--) {
        if (batch->freeing) {
            free_one(worker, batch, plan->order);
            continue;
        }
        batch->objects[batch->used++] = block_make(worker);
        if (batch->used < plan->objects) {
            continue;
        }
        batch->freeing = true;
        if (plan->order == WK_ORDER_RANDOM) {
            shuffle(worker, batch);
        }
    }
}

static void drain(struct worker *worker) {
    struct batch *batch = worker->state;
    while (batch->used > batch->freed) {
        block_release(worker, &batch->objects[--batch->used], worker->index);
    }
    batch->used = batch->freed = 0;
    batch->freeing = false;
}

const struct kernel kernel_batch = {
    .name = "batch", .prepare = prepare, .general = general, .drain = drain, .step_operations = 1};
