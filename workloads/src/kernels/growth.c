/* Vectors that grow by half until they reach a limit, then shrink by half until they are back
 * where they started; and buffers that are appended to and thrown away at the limit. Half of the
 * slots are vectors. The size distribution gives first sizes and the pieces that are appended. */
#include "own_slots.h"

struct growth {
    struct own_slots shape; /* first: own_slots_count() reads it */
    uint32_t limit;
};

static bool prepare(struct run *run) {
    if (!own_slots_prepare(run, run_parameter(run, "slots"))) {
        return false;
    }
    struct growth *growth = run_take(run, sizeof *growth);
    if (growth == NULL) {
        return false;
    }
    growth->shape.count = own_slots_count(run);
    growth->limit = (uint32_t)run_parameter(run, "limit");
    run->shared = growth;
    return true;
}

/* A vector's index is its direction: 0 up, 1 down. */
static void change_vector(struct worker *worker, struct block *vector, uint32_t limit) {
    uint64_t grown = vector->size + (uint64_t)vector->size / 2 + 1;
    if (!vector->index && grown <= limit) {
        block_resize(worker, vector, (uint32_t)grown);
    } else if (vector->size > 32) {
        vector->index = 1;
        block_resize(worker, vector, vector->size / 2);
    } else {
        vector->index = 0;
        block_release(worker, vector, worker->index);
    }
}

static void append(struct worker *worker, struct block *buffer, uint32_t limit) {
    uint32_t place = size_place(worker->cursor++, worker->order);
    uint64_t longer = (uint64_t)buffer->size + worker->run->request->sizes[place];
    if (longer <= limit) {
        block_resize(worker, buffer, (uint32_t)longer);
    } else {
        block_release(worker, buffer, worker->index);
    }
}

static void general(struct worker *worker, uint64_t count) {
    const struct growth *growth = worker->run->shared;
    struct block *slots = worker->state;
    for (; count && !run_stopping(worker->run); count--) {
        uint32_t at = random_below(&worker->random, growth->shape.count);
        struct block *slot = &slots[at];
        if (slot->address == NULL) {
            *slot = block_make(worker);
            slot->index = 0;
        } else if (at & 1) {
            append(worker, slot, growth->limit);
        } else {
            change_vector(worker, slot, growth->limit);
        }
    }
}

const struct kernel kernel_growth = {.name = "growth",
                                     .prepare = prepare,
                                     .general = general,
                                     .drain = own_slots_drain,
                                     .step_operations = 1};
