/* A random slot of a working set that is always full: free it, allocate into it. Nothing for the
 * branch predictor to miss, so small differences between allocators show. With a life and a touch
 * of two bytes it is the loop of Larson and Krishnan (1998). */
#include "own_slots.h"
#include "quick.h"

static bool prepare(struct run *run) {
    return own_slots_prepare(run, run_parameter(run, "slots"));
}

static void general(struct worker *worker, uint64_t count) {
    struct block *slots = worker->state;
    uint32_t slot_count = own_slots_count(worker->run);
    for (; count && !run_stopping(worker->run); count--) {
        struct block *slot = &slots[random_below(&worker->random, slot_count)];
        block_release(worker, slot, worker->index);
        if (slot->address == NULL) {
            *slot = block_make(worker);
        }
    }
}

static ALWAYS_INLINE void replace(struct worker *worker, uint64_t count, const enum wk_touch touch,
                                  const enum source source) {
    struct quick quick = quick_begin(worker);
    struct block *slots = worker->state;
    const uint32_t slot_count = own_slots_count(worker->run);
    uint64_t operations = 2 * count;
    for (uint64_t i = 0; i < count; i++) {
        struct block *slot = &slots[random_below(&quick.random, slot_count)];
        char *address = slot->address;
        if (unlikely(address == NULL)) {
            operations--; /* an allocation that failed, or the first round of a bare loop */
        } else {
            quick_free(&quick, address, slot->size, source);
        }
        quick_make_into(&quick, slot, touch, source);
    }
    quick_end(worker, &quick, operations);
}

QUICK_VARIANTS(replace)

const struct kernel kernel_replace = {.name = "replace",
                                      .prepare = prepare,
                                      .fill = own_slots_fill,
                                      .general = general,
                                      .fast = replace_fast,
                                      .bare = replace_bare,
                                      .drain = own_slots_drain,
                                      .step_operations = 2};
