/* A block of the malloc under test, and its one way in and one way out.
 *
 * block_make() and block_release() do all a request can ask for: call mix, touching, verification,
 * timing, work. The hot loops of the kernels use block_quick() and free() instead, which draw the
 * same sizes in the same order and do nothing but malloc and a touch known at compile time.
 *
 * A block that passes between threads does so as one word, `address | size index << 48`, through a
 * release store or exchange and an acquire load; the receiver finds its size in the size table. */
#ifndef WORKLOADS_BLOCK_H
#define WORKLOADS_BLOCK_H

#include <stdlib.h>

#include "engine.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* address is NULL for no block: nothing there, or malloc failed. */
struct block {
    char *address;
    uint32_t size;
    uint32_t index; /* in the size table; sizes[index] == size unless a kernel chose the size */
};

/* Who wrote a block's pattern, where the reader cannot know. */
#define ANYONE UINT32_MAX

/* A block of the next size, by the next call of the mix. One operation (realloc: two). */
struct block block_make(struct worker *worker);
/* The same with the size at that place of the size table. */
struct block block_make_at(struct worker *worker, uint32_t place);
/* A block of a size the kernel chose, always by malloc. One operation. */
struct block block_make_sized(struct worker *worker, uint32_t size);
/* Moves a block to a new size; on failure the block is as it was. One operation. */
void block_resize(struct worker *worker, struct block *block, uint32_t size);
/* Frees it, one operation; nothing where address is NULL. owner: the thread that must have made
 * it (verified), or ANYONE. Leaves *block empty. */
void block_release(struct worker *worker, struct block *block, uint32_t owner);
/* Checks the pattern of the whole block, where the run verifies. false: a violation. */
bool block_check(struct worker *worker, const struct block *block, uint32_t owner);

/* Reads every word of it. */
void block_read(struct worker *worker, const struct block *block);

/* Place in the size table of the cursor-th size of a worker. Exclusive or with the worker's own
 * number visits every place once, in an order of its own, and keeps to one line of the table for
 * as long as the line lasts. */
static ALWAYS_INLINE uint32_t size_place(uint32_t cursor, uint32_t order) {
    return (cursor ^ order) & (WK_SIZES - 1);
}

static inline uint64_t block_pack(struct block block) {
    return (uint64_t)(uintptr_t)block.address | (uint64_t)block.index << 48;
}

static inline struct block block_unpack(const struct run *run, uint64_t word) {
    uint32_t index = (uint32_t)(word >> 48);
    struct block block = {(char *)(uintptr_t)(word & (((uint64_t)1 << 48) - 1)), 0, index};
    block.size = run->request->sizes[index];
    return block;
}

static ALWAYS_INLINE void block_touch(char *address, uint32_t size, const enum wk_touch touch) {
    if (touch == WK_TOUCH_FIRST) {
        *(volatile char *)address = 1;
    }
    if (touch == WK_TOUCH_ENDS) {
        *(volatile char *)address = 1;
        *(volatile char *)(address + size - 1) = 1;
    }
}

/* Whether this run can use the hot loops, and with which touch. */
static inline bool block_quick_fits(const struct run *run) {
    const struct wk_request *request = run->request;
    return request->plain && !request->verify && !request->work && !request->operation_limit &&
           request->touch <= WK_TOUCH_ENDS;
}

#endif
