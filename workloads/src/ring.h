/* A bounded queue of packed blocks from one thread to one other, by release and acquire; neither
 * side ever waits. Each side keeps a copy of the other's position and looks at the shared one only
 * when the copy says full or empty. The sender shows what it has put a cache line at a time: shown
 * one by one, the lines' way between two cores that run in step is most of what would be measured,
 * and a slow malloc, which lets blocks gather, looks faster than none. */
#ifndef WORKLOADS_RING_H
#define WORKLOADS_RING_H

#include "block.h"

enum { LINE_WORDS = 8 };

struct ring {
    _Alignas(APART) _Atomic uint64_t head; /* next to take; the receiver's */
    uint64_t tail_seen;
    _Alignas(APART) _Atomic uint64_t tail; /* shown up to here; the sender's */
    _Alignas(APART) uint64_t next;         /* next to put; tail <= next <= tail + LINE_WORDS */
    uint64_t head_seen;
    _Alignas(APART) uint64_t *words;
    uint64_t mask; /* capacity - 1; 0 <= next - head <= capacity */
};

/* One ring into each worker; `least` is rounded up to a power of two. NULL: run refused. */
static inline struct ring *rings_take(struct run *run, double least) {
    uint64_t capacity = 1;
    while ((double)capacity < least) {
        capacity *= 2;
    }
    struct ring *rings = run_take(run, run->threads * sizeof *rings);
    uint64_t *words = run_take(run, run->threads * capacity * sizeof *words);
    if (rings == NULL || words == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < run->threads; i++) {
        rings[i].words = words + i * capacity;
        rings[i].mask = capacity - 1;
    }
    return rings;
}

/* false: the ring is full and the block still the caller's. */
static inline bool ring_put(struct ring *ring, struct block block) {
    if (ring->next - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (ring->next - ring->head_seen > ring->mask) {
            return false;
        }
    }
    ring->words[ring->next++ & ring->mask] = block_pack(block);
    if ((ring->next & (LINE_WORDS - 1)) == 0 || ring->mask < LINE_WORDS) {
        atomic_store_explicit(&ring->tail, ring->next, memory_order_release);
    }
    return true;
}

/* address NULL: the ring is empty. */
static inline struct block ring_take(const struct run *run, struct ring *ring) {
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen) {
            return (struct block){NULL, 0, 0};
        }
    }
    struct block block = block_unpack(run, ring->words[head & ring->mask]);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return block;
}

/* The worker that takes what this one puts. */
static inline uint32_t ring_next(const struct worker *worker) {
    return (worker->index + 1) % worker->run->threads;
}

/* Frees what the sender has put and not shown. */
static inline void ring_release_unshown(struct worker *worker, struct ring *ring) {
    while (ring->next != atomic_load_explicit(&ring->tail, memory_order_relaxed)) {
        struct block block = block_unpack(worker->run, ring->words[--ring->next & ring->mask]);
        block_release(worker, &block, worker->index);
    }
}

/* Frees all that is shown in the worker's own ring. */
static inline void ring_release_all(struct worker *worker, struct ring *ring) {
    for (;;) {
        struct block block = ring_take(worker->run, ring);
        if (block.address == NULL) {
            return;
        }
        block_release(worker, &block, ANYONE);
    }
}

#endif
