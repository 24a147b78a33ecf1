/* Groups of slots of very unequal heat: the hottest 0.006 % take 26 % of the operations. Each step
 * replaces a block, and reads another of the same heat in full. All blocks stay at home. */
#include "own_slots.h"

/* Upper ends of the groups: of all slots, and of all operations (of 65536). */
static const struct {
    double slots;
    uint32_t operations;
} heat[] = {{0.00006, 17039}, {0.001, 32768}, {0.01, 45875}, {0.1, 57672}, {1, 65536}};

static bool prepare(struct run *run) {
    return own_slots_prepare(run, run_parameter(run, "slots"));
}

/* A slot of the group that the operation falls to: groups are [low, high), none is empty. */
static uint32_t pick(struct worker *worker, uint32_t *low, uint32_t *high, uint32_t slots) {
    uint32_t turn = random_below(&worker->random, 65536);
    uint32_t group = 0;
    while (turn >= heat[group].operations) {
        group++;
    }
    *low = group ? (uint32_t)(heat[group - 1].slots * slots) : 0;
    *high = (uint32_t)(heat[group].slots * slots);
    if (*high <= *low) {
        *high = *low + 1;
    }
    return *low + random_below(&worker->random, *high - *low);
}

static void general(struct worker *worker, uint64_t count) {
    struct block *slots = worker->state;
    uint32_t slot_count = own_slots_count(worker->run), low, high;
    for (; count && !run_stopping(worker->run); count--) {
        struct block *slot = &slots[pick(worker, &low, &high, slot_count)];
        block_release(worker, slot, worker->index);
        if (slot->address == NULL) {
            *slot = block_make(worker);
        }
        block_read(worker, &slots[low + random_below(&worker->random, high - low)]);
    }
}

const struct kernel kernel_pareto = {.name = "pareto",
                                     .prepare = prepare,
                                     .fill = own_slots_fill,
                                     .general = general,
                                     .drain = own_slots_drain,
                                     .step_operations = 2};
