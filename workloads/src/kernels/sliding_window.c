/* Allocate into a ring in steps of falling sizes; when it is full, keep a window of a fifth of it
 * at a random place and free what lies before in order, what lies behind in reverse. */
#include "own_slots.h"

enum { STEPS = 64 }; /* different sizes on the way round */

struct window {
    struct own_slots shape;  /* first: own_slots_count() reads it */
    uint32_t falling[STEPS]; /* places in the size table, by falling size */
};

struct traveller {
    struct block *slots;
    uint32_t position;
    _Alignas(APART) char end[];
};

static void choose_sizes(struct window *window, const uint32_t *sizes) {
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t place = i * (WK_SIZES / STEPS), at = i;
        for (; at && sizes[window->falling[at - 1]] < sizes[place]; at--) {
            window->falling[at] = window->falling[at - 1];
        }
        window->falling[at] = place;
    }
}

static bool prepare(struct run *run) {
    if (!own_slots_prepare(run, run_parameter(run, "slots"))) {
        return false;
    }
    struct window *window = run_take(run, sizeof *window);
    struct traveller *travellers = run_take(run, run->threads * sizeof *travellers);
    if (window == NULL || travellers == NULL) {
        return false;
    }
    window->shape.count = own_slots_count(run);
    choose_sizes(window, run->request->sizes);
    run->shared = window;
    for (uint32_t i = 0; i < run->threads; i++) {
        travellers[i].slots = run->workers[i].state;
        run->workers[i].state = &travellers[i];
    }
    return true;
}

static void slide(struct worker *worker, struct block *slots, uint32_t count) {
    uint32_t kept = count / 5;
    uint32_t start = random_below(&worker->random, count - kept + 1);
    for (uint32_t i = 0; i < start && !run_stopping(worker->run); i++) {
        block_release(worker, &slots[i], worker->index);
    }
    for (uint32_t i = count; i > start + kept && !run_stopping(worker->run); i--) {
        block_release(worker, &slots[i - 1], worker->index);
    }
}

static void general(struct worker *worker, uint64_t count) {
    const struct window *window = worker->run->shared;
    struct traveller *traveller = worker->state;
    uint32_t slot_count = own_slots_count(worker->run);
    for (; count && !run_stopping(worker->run); count--) {
        struct block *slot = &traveller->slots[traveller->position];
        uint32_t step = (uint32_t)((uint64_t)traveller->position * STEPS / slot_count);
        if (slot->address == NULL) {
            *slot = block_make_at(worker, window->falling[step]);
        }
        if (++traveller->position == slot_count) {
            traveller->position = 0;
            slide(worker, traveller->slots, slot_count);
        }
    }
}

static void drain(struct worker *worker) {
    struct traveller *traveller = worker->state;
    for (uint32_t i = 0; i < own_slots_count(worker->run); i++) {
        block_release(worker, &traveller->slots[i], worker->index);
    }
}

const struct kernel kernel_sliding_window = {.name = "sliding_window",
                                             .prepare = prepare,
                                             .general = general,
                                             .drain = drain,
                                             .step_operations = 1};
