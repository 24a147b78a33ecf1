#include "own_slots.h"

bool own_slots_prepare(struct run *run, double count) {
    struct own_slots *shape = run_take(run, sizeof *shape);
    size_t bytes = ((size_t)count * sizeof(struct block) + APART - 1) & ~(size_t)(APART - 1);
    char *all = run_take(run, bytes * run->threads);
    if (shape == NULL || all == NULL) {
        return false;
    }
    shape->count = (uint32_t)count;
    run->shared = shape;
    for (uint32_t i = 0; i < run->threads; i++) {
        run->workers[i].state = all + i * bytes;
    }
    return true;
}

void own_slots_fill(struct worker *worker) {
    struct block *slots = worker->state;
    uint32_t count = own_slots_count(worker->run);
    for (uint32_t i = 0; i < count && !run_stopping(worker->run); i++) {
        if (slots[i].address == NULL) {
            slots[i] = block_make(worker);
        }
    }
}

void own_slots_drain(struct worker *worker) {
    struct block *slots = worker->state;
    uint32_t count = own_slots_count(worker->run);
    for (uint32_t i = 0; i < count; i++) {
        block_release(worker, &slots[i], worker->index);
    }
}
