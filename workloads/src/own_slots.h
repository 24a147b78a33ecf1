/* A thread's own working set: a fixed number of places for blocks. Used by every kernel whose
 * blocks stay with their thread. worker->state is the array, run->shared its shape. */
#ifndef WORKLOADS_OWN_SLOTS_H
#define WORKLOADS_OWN_SLOTS_H

#include "block.h"

struct own_slots {
    uint32_t count; /* slots per thread */
};

/* Makes `count` empty slots for each worker, which no two workers share a line of. */
bool own_slots_prepare(struct run *run, double count);
static inline uint32_t own_slots_count(const struct run *run) {
    return ((const struct own_slots *)run->shared)->count;
}
/* Allocates into every empty slot. */
void own_slots_fill(struct worker *worker);
/* Frees what every slot holds. */
void own_slots_drain(struct worker *worker);

#endif
