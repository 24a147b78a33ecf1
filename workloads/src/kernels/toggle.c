/* A random slot: occupied, free it; empty, allocate into it. The branch cannot be predicted, which
 * costs most of the loop; `replace` is the same working set without it. */
#include "own_slots.h"
#include "quick.h"

static bool prepare(struct run *run) {
    return own_slots_prepare(run, run_parameter(run, "slots"));
}

/* Half full, which is where the loop settles. */
static void fill(struct worker *worker) {
    struct block *slots = worker->state;
    uint32_t count = own_slots_count(worker->run);
    for (uint32_t i = 0; i < count && !run_stopping(worker->run); i++) {
        if (slots[i].address == NULL && random_below(&worker->random, 2)) {
            slots[i] = block_make(worker);
        }
    }
}

static void general(struct worker *worker, uint64_t count) {
    struct block *slots = worker->state;
    uint32_t slot_count = own_slots_count(worker->run);
    for (; count && !run_stopping(worker->run); count--) {
        struct block *slot = &slots[random_below(&worker->random, slot_count)];
        if (slot->address != NULL) {
            block_release(worker, slot, worker->index);
        } else {
            *slot = block_make(worker);
        }
    }
}

static ALWAYS_INLINE void toggle(struct worker *worker, uint64_t count, const enum wk_touch touch,
                                 const enum source source) {
    struct quick quick = quick_begin(worker);
    struct block *slots = worker->state;
    const uint32_t slot_count = own_slots_count(worker->run);
    for (uint64_t i = 0; i < count; i++) {
        struct block *slot = &slots[random_below(&quick.random, slot_count)];
        char *address = slot->address;
        if (address != NULL) {
            slot->address = NULL;
            quick_free(&quick, address, slot->size, source);
        } else {
            quick_make_into(&quick, slot, touch, source);
        }
    }
    quick_end(worker, &quick, count);
}

QUICK_VARIANTS(toggle)

const struct kernel kernel_toggle = {.name = "toggle",
                                     .prepare = prepare,
                                     .fill = fill,
                                     .general = general,
                                     .fast = toggle_fast,
                                     .bare = toggle_bare,
                                     .drain = own_slots_drain,
                                     .step_operations = 1};
