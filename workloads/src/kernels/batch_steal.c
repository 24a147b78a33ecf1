/* Bursts: free a quarter to four fifths of the own slots at a prime stride, free what others
 * handed over, allocate as much again at another stride; every second burst goes whole to the next
 * thread, through an inbox without locks. */
#include "own_slots.h"

/* A burst on its way. Bundles move by push (compare and swap) and by taking the whole list
 * (exchange), so no bundle is ever taken while another thread holds a stale pointer to it. */
struct bundle {
    struct bundle *next;
    uint32_t owner, used;
    uint64_t words[];
};

struct thief {
    _Alignas(APART) _Atomic(struct bundle *) inbox;
    _Alignas(APART) _Atomic(struct bundle *) returned;
    _Alignas(APART) struct bundle *idle;
    uint64_t bursts;
    struct block *slots;
};

struct batch_steal {
    struct own_slots shape; /* first: own_slots_count() reads it */
    struct thief *thieves;
};

enum { BUNDLES = 4 }; /* of each thread; with all of them away a burst stays at home */
static const uint32_t primes[] = {7, 13, 29, 61, 113, 251, 509, 1021};

static bool prepare(struct run *run) {
    if (!own_slots_prepare(run, run_parameter(run, "slots"))) {
        return false;
    }
    uint32_t slots = own_slots_count(run);
    struct batch_steal *shared = run_take(run, sizeof *shared);
    struct thief *thieves = run_take(run, run->threads * sizeof *thieves);
    size_t bytes = sizeof(struct bundle) + slots * sizeof(uint64_t);
    bytes = (bytes + APART - 1) & ~(size_t)(APART - 1);
    char *bundles = run_take(run, bytes * BUNDLES * run->threads);
    if (shared == NULL || thieves == NULL || bundles == NULL) {
        return false;
    }
    shared->shape.count = slots;
    shared->thieves = thieves;
    run->shared = shared;
    for (uint32_t i = 0; i < run->threads; i++) {
        thieves[i].slots = run->workers[i].state;
        run->workers[i].state = &thieves[i];
        for (uint32_t k = 0; k < BUNDLES; k++, bundles += bytes) {
            struct bundle *bundle = (struct bundle *)bundles;
            bundle->owner = i;
            bundle->next = thieves[i].idle;
            thieves[i].idle = bundle;
        }
    }
    return true;
}

static void push(_Atomic(struct bundle *) *list, struct bundle *bundle) {
    bundle->next = atomic_load_explicit(list, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(list, &bundle->next, bundle, memory_order_release,
                                                  memory_order_relaxed)) {
        continue;
    }
}

static struct bundle *take_all(_Atomic(struct bundle *) *list) {
    return atomic_exchange_explicit(list, NULL, memory_order_acquire);
}

static void empty_inbox(struct worker *worker) {
    struct batch_steal *shared = worker->run->shared;
    struct thief *thief = worker->state;
    for (struct bundle *bundle = take_all(&thief->inbox), *next; bundle != NULL; bundle = next) {
        next = bundle->next;
        for (uint32_t i = 0; i < bundle->used; i++) {
            struct block block = block_unpack(worker->run, bundle->words[i]);
            block_release(worker, &block, bundle->owner);
        }
        bundle->used = 0;
        push(&shared->thieves[bundle->owner].returned, bundle);
    }
}

static struct bundle *idle_bundle(struct thief *thief) {
    if (thief->idle == NULL) {
        thief->idle = take_all(&thief->returned);
    }
    struct bundle *bundle = thief->idle;
    if (bundle != NULL) {
        thief->idle = bundle->next;
    }
    return bundle;
}

/* A stride that meets every slot: a prime that does not divide their number. */
static uint32_t stride_for(struct worker *worker, uint32_t slots) {
    uint32_t prime = primes[random_below(&worker->random, sizeof primes / sizeof primes[0])];
    return slots % prime ? prime : 1;
}

/* 24 - 79 % of the slots. */
static uint32_t burst_length(struct worker *worker, uint32_t slots) {
    return (uint32_t)((uint64_t)slots * (24 + random_below(&worker->random, 56)) / 100);
}

static void hand_over(struct worker *worker, struct bundle *bundle, uint32_t length) {
    struct batch_steal *shared = worker->run->shared;
    for (uint32_t i = 0; i < length && !run_stopping(worker->run); i++) {
        struct block block = block_make(worker);
        if (block.address != NULL) {
            bundle->words[bundle->used++] = block_pack(block);
        }
    }
    push(&shared->thieves[(worker->index + 1) % worker->run->threads].inbox, bundle);
}

static void burst(struct worker *worker) {
    struct thief *thief = worker->state;
    struct block *slots = thief->slots;
    uint32_t count = own_slots_count(worker->run);
    uint32_t at = random_below(&worker->random, count), stride = stride_for(worker, count);
    for (uint32_t left = burst_length(worker, count); left; left--) {
        if (run_stopping(worker->run)) {
            return;
        }
        block_release(worker, &slots[at], worker->index);
        at = (uint32_t)(((uint64_t)at + stride) % count);
    }
    empty_inbox(worker);
    uint32_t length = burst_length(worker, count);
    stride = stride_for(worker, count);
    struct bundle *bundle = thief->bursts++ & 1 ? idle_bundle(thief) : NULL;
    if (bundle != NULL) {
        hand_over(worker, bundle, length);
        return;
    }
    for (; length && !run_stopping(worker->run); length--) {
        if (slots[at].address == NULL) {
            slots[at] = block_make(worker);
        }
        at = (uint32_t)(((uint64_t)at + stride) % count);
    }
}

/* One burst, whatever the count. */
static void general(struct worker *worker, uint64_t count) {
    (void)count;
    burst(worker);
}

static void drain(struct worker *worker) {
    struct thief *thief = worker->state;
    empty_inbox(worker);
    for (uint32_t i = 0; i < own_slots_count(worker->run); i++) {
        block_release(worker, &thief->slots[i], worker->index);
    }
}

const struct kernel kernel_batch_steal = {.name = "batch_steal",
                                          .prepare = prepare,
                                          .general = general,
                                          .drain = drain,
                                          .step_operations = 1};
