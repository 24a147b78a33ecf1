/* Any lifetime with any hand-off: the kernel for mixes that have no loop of their own. A step
 * allocates a block; the lifetime says which older block is over; the hand-off says who frees it.
 */
#include "own_slots.h"
#include "ring.h"
#include "shared_slots.h"

enum { RING_WORDS = 4096 };

struct mixed {
    struct own_slots shape; /* first: own_slots_count() reads it */
    enum wk_lifetime lifetime;
    enum wk_handoff handoff;
    uint32_t share;      /* of 65536: what another thread frees */
    uint32_t long_lived; /* of 65536: what joins the old generation */
    struct ring *rings;
    struct shared_slots exchange;
};

struct owner {
    struct block *slots;
    uint32_t position; /* next place of the queue, or height of the stack */
    _Alignas(APART) char end[];
};

static bool prepare(struct run *run) {
    if (!own_slots_prepare(run, run_parameter(run, "slots"))) {
        return false;
    }
    struct mixed *mixed = run_take(run, sizeof *mixed);
    struct owner *owners = run_take(run, run->threads * sizeof *owners);
    if (mixed == NULL || owners == NULL) {
        return false;
    }
    mixed->shape.count = own_slots_count(run);
    mixed->lifetime = (enum wk_lifetime)run_parameter(run, "lifetime");
    mixed->handoff = (enum wk_handoff)run_parameter(run, "handoff");
    mixed->share = (uint32_t)(run_parameter(run, "share") * 65536);
    mixed->long_lived = (uint32_t)(run_parameter(run, "long_lived") * 65536);
    run->shared = mixed;
    for (uint32_t i = 0; i < run->threads; i++) {
        owners[i].slots = run->workers[i].state;
        run->workers[i].state = &owners[i];
    }
    if (mixed->handoff == WK_HANDOFF_RING) {
        mixed->rings = rings_take(run, RING_WORDS);
        return mixed->rings != NULL;
    }
    return mixed->handoff != WK_HANDOFF_SHARED ||
           shared_slots_prepare(run, &mixed->exchange, 256.0 * run->threads);
}

static struct block swap(struct block *slot, struct block in) {
    struct block out = *slot;
    *slot = in;
    return out;
}

/* The place of [start, end) where the queue stands; moves it on. */
static struct block *queue_place(struct owner *owner, uint32_t start, uint32_t end) {
    if (owner->position < start || owner->position >= end) {
        owner->position = start;
    }
    return &owner->slots[owner->position++];
}

/* Takes the new block in and gives the one whose time is over; either may be none. */
static struct block displace(struct worker *worker, struct block in) {
    const struct mixed *mixed = worker->run->shared;
    struct owner *owner = worker->state;
    uint32_t count = mixed->shape.count, old = count - count / 8;
    switch (mixed->lifetime) {
    case WK_LIFETIME_FIFO:
        return swap(queue_place(owner, 0, count), in);
    case WK_LIFETIME_GENERATIONAL:
        /* Old generation: slots[0 .. old), replaced at random; young: a short queue behind it. */
        if (old == count || random_below(&worker->random, 65536) < mixed->long_lived) {
            return swap(&owner->slots[random_below(&worker->random, old)], in);
        }
        return swap(queue_place(owner, old, count), in);
    default:
        return swap(&owner->slots[random_below(&worker->random, count)], in);
    }
}

/* Up or down by the toss of a coin, turned back at both ends of the stack. */
static struct block rise_or_fall(struct worker *worker) {
    struct owner *owner = worker->state;
    uint32_t count = own_slots_count(worker->run);
    bool up = owner->position == 0 || (owner->position < count && random_below(&worker->random, 2));
    if (!up) {
        return swap(&owner->slots[--owner->position], (struct block){NULL, 0, 0});
    }
    owner->slots[owner->position++] = block_make(worker);
    return (struct block){NULL, 0, 0};
}

static void give_up(struct worker *worker, struct block block) {
    struct run *run = worker->run;
    struct mixed *mixed = run->shared;
    uint32_t owner = worker->index;
    if (block.address == NULL) {
        return;
    }
    if (mixed->handoff != WK_HANDOFF_NONE && random_below(&worker->random, 65536) < mixed->share) {
        if (mixed->handoff == WK_HANDOFF_SHARED) {
            uint32_t place = random_below(&worker->random, mixed->exchange.count);
            block = shared_slots_swap(run, &mixed->exchange, place, block);
            owner = ANYONE;
        } else if (ring_put(&mixed->rings[ring_next(worker)], block)) {
            return;
        } else {
            worker->fallback++;
        }
    }
    block_release(worker, &block, owner);
}

static void general(struct worker *worker, uint64_t count) {
    struct mixed *mixed = worker->run->shared;
    for (; count && !run_stopping(worker->run); count--) {
        if (mixed->handoff == WK_HANDOFF_RING) {
            ring_release_all(worker, &mixed->rings[worker->index]);
        }
        if (mixed->lifetime == WK_LIFETIME_LIFO) {
            give_up(worker, rise_or_fall(worker));
        } else {
            give_up(worker, displace(worker, block_make(worker)));
        }
    }
}

static void drain(struct worker *worker) {
    struct mixed *mixed = worker->run->shared;
    struct owner *owner = worker->state;
    for (uint32_t i = 0; i < mixed->shape.count; i++) {
        block_release(worker, &owner->slots[i], worker->index);
    }
    owner->position = 0;
    if (mixed->handoff == WK_HANDOFF_RING) {
        ring_release_unshown(worker, &mixed->rings[ring_next(worker)]);
        ring_release_all(worker, &mixed->rings[worker->index]);
    }
    if (mixed->handoff == WK_HANDOFF_SHARED) {
        shared_slots_drain(worker, &mixed->exchange);
    }
}

const struct kernel kernel_mixed = {
    .name = "mixed", .prepare = prepare, .general = general, .drain = drain, .step_operations = 2};
