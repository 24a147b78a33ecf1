#include "verify.h"

#include <stdio.h>
#include <string.h>

enum { RELEASED = 0xdead };

static inline uint64_t seal(uint64_t address, uint32_t size) {
    return (address ^ (uint64_t)size << 40) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t low_bytes(uint32_t count) {
    return count >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << (8 * count)) - 1;
}

void verify_report(struct worker *worker, const char *what, uint64_t address, uint64_t found,
                   uint64_t expected) {
    struct run *run = worker->run;
    if (!atomic_exchange(&run->violated, true)) {
        struct wk_violation *violation = &run->result->violation;
        violation->found_one = 1;
        violation->thread = worker->index;
        violation->operation = worker->operations;
        violation->address = address;
        violation->found = found;
        violation->expected = expected;
        snprintf(violation->what, sizeof violation->what, "%s", what);
    }
    run_stop(run);
}

static void write_pattern(const struct block *block, uint64_t owner) {
    uint64_t base = (uint64_t)(uintptr_t)block->address;
    uint32_t position = 0;
    for (; position + 8 <= block->size; position += 8) {
        uint64_t word = seal(base + position, block->size) ^ owner;
        memcpy(block->address + position, &word, 8);
    }
    if (position < block->size) {
        uint64_t word = seal(base + position, block->size) ^ owner;
        memcpy(block->address + position, &word, block->size - position);
    }
}

void verify_fill(struct worker *worker, const struct block *block) {
    write_pattern(block, worker->index);
}

void verify_mark_released(const struct block *block) {
    struct block head = *block;
    uint64_t word = seal((uint64_t)(uintptr_t)head.address, head.size) ^ RELEASED;
    memcpy(head.address, &word, head.size < 8 ? head.size : 8);
}

bool verify_check(struct worker *worker, const char *where, uint64_t base, uint32_t size,
                  uint32_t length, uint32_t owner) {
    if (!length) {
        return true;
    }
    worker->checked++;
    uint64_t first = 0, mask = low_bytes(length);
    memcpy(&first, where, length < 8 ? length : 8);
    uint64_t found_owner = (first ^ seal(base, size)) & mask;
    uint64_t threads = worker->run->threads;
    if (owner == ANYONE ? found_owner >= threads : found_owner != (owner & mask)) {
        const char *what = found_owner == (RELEASED & mask) && length >= 4
                               ? "block was released before"
                           : found_owner < threads ? "block belongs to another thread"
                                                   : "pattern is broken";
        verify_report(worker, what, (uint64_t)(uintptr_t)where, first,
                      (seal(base, size) ^ (owner == ANYONE ? 0 : owner)) & mask);
        return false;
    }
    for (uint32_t position = 8; position < length; position += 8) {
        uint32_t left = length - position < 8 ? length - position : 8;
        uint64_t found = 0,
                 expected = (seal(base + position, size) ^ found_owner) & low_bytes(left);
        memcpy(&found, where + position, left);
        if (found != expected) {
            verify_report(worker, "pattern is broken", (uint64_t)(uintptr_t)where + position, found,
                          expected);
            return false;
        }
    }
    return true;
}

bool verify_zero(struct worker *worker, const struct block *block) {
    for (uint32_t position = 0; position < block->size; position += 8) {
        uint32_t left = block->size - position < 8 ? block->size - position : 8;
        uint64_t found = 0;
        memcpy(&found, block->address + position, left);
        if (found) {
            verify_report(worker, "calloc gave memory that is not zero",
                          (uint64_t)(uintptr_t)block->address + position, found, 0);
            return false;
        }
    }
    return true;
}

bool verify_aligned(struct worker *worker, const struct block *block, uint64_t alignment) {
    uint64_t off = (uint64_t)(uintptr_t)block->address & (alignment - 1);
    if (off) {
        verify_report(worker, "block is not aligned (found: address modulo alignment)",
                      (uint64_t)(uintptr_t)block->address, off, 0);
    }
    return !off;
}
