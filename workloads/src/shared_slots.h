/* Places that all threads share, each one atomic word that holds a packed block or 0. */
#ifndef WORKLOADS_SHARED_SLOTS_H
#define WORKLOADS_SHARED_SLOTS_H

#include "block.h"

struct shared_slots {
    _Atomic uint64_t *words;
    uint32_t count;
};

bool shared_slots_prepare(struct run *run, struct shared_slots *slots, double count);

/* Puts a block (or none) in and gives what was there. Release and acquire: the block's bytes are
 * handed over with it. */
static inline struct block shared_slots_swap(const struct run *run, struct shared_slots *slots,
                                             uint32_t position, struct block in) {
    uint64_t word = in.address != NULL ? block_pack(in) : 0;
    return block_unpack(
        run, atomic_exchange_explicit(&slots->words[position], word, memory_order_acq_rel));
}

/* This worker's part of the places: allocate into what is empty, or free what is there. */
void shared_slots_fill(struct worker *worker, struct shared_slots *slots);
void shared_slots_drain(struct worker *worker, struct shared_slots *slots);

#endif
