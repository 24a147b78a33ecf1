#include "shared_slots.h"

bool shared_slots_prepare(struct run *run, struct shared_slots *slots, double count) {
    slots->count = (uint32_t)count;
    slots->words = run_take(run, slots->count * sizeof *slots->words);
    return slots->words != NULL;
}

/* First place of worker i's part; that of worker i + 1 is its end. */
static uint32_t part(const struct worker *worker, const struct shared_slots *slots, uint32_t i) {
    return (uint32_t)((uint64_t)slots->count * i / worker->run->threads);
}

void shared_slots_fill(struct worker *worker, struct shared_slots *slots) {
    uint32_t end = part(worker, slots, worker->index + 1);
    for (uint32_t i = part(worker, slots, worker->index); i < end; i++) {
        if (run_stopping(worker->run)) {
            return;
        }
        struct block out = shared_slots_swap(worker->run, slots, i, block_make(worker));
        block_release(worker, &out, ANYONE);
    }
}

void shared_slots_drain(struct worker *worker, struct shared_slots *slots) {
    uint32_t end = part(worker, slots, worker->index + 1);
    for (uint32_t i = part(worker, slots, worker->index); i < end; i++) {
        struct block out = shared_slots_swap(worker->run, slots, i, (struct block){NULL, 0, 0});
        block_release(worker, &out, ANYONE);
    }
}
