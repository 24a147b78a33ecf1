#include "face/aside.h"
#include "base/os.h"

#include <stdatomic.h>

static char *piece;

/* Bytes used from the piece's start in the low half, live blocks in the high: one word, so that the
 * last block's end and the piece's new beginning are one step. */
static _Atomic uint64_t in_use;
#define ONE ((uint64_t)1 << 32)

/* Right before the block. */
static size_t *size_of(const void *block) {
    return (size_t *)((uintptr_t)block - 2 * sizeof(size_t));
}

bool aside_init(void) {
    piece = os_map(ASIDE_BYTES, PAGE);
    return piece != NULL;
}

void *aside_take(size_t size, size_t alignment) {
    if (piece == NULL || size > ASIDE_BYTES || alignment > ASIDE_BYTES) {
        return NULL;
    }
    uint64_t now = atomic_load_explicit(&in_use, memory_order_relaxed), then;
    uintptr_t block;
    do {
        uintptr_t from = (uintptr_t)piece + (uint32_t)now + 2 * sizeof(size_t);
        block = align_up(from, alignment < 16 ? 16 : alignment);
        then = (now & ~(ONE - 1)) + ONE + (block + size - (uintptr_t)piece);
        if (block + size > (uintptr_t)piece + ASIDE_BYTES) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak_explicit(&in_use, &now, then, memory_order_acquire,
                                                    memory_order_relaxed));
    *size_of((void *)block) = size;
    return (void *)block;
}

bool aside_owns(const void *block) {
    return piece != NULL && (uintptr_t)block - (uintptr_t)piece < ASIDE_BYTES;
}

size_t aside_size(const void *block) {
    return *size_of(block);
}

void aside_give(void *block) {
    (void)block;
    uint64_t now = atomic_load_explicit(&in_use, memory_order_relaxed), then;
    do {
        then = now - ONE < ONE ? 0 : now - ONE;
    } while (!atomic_compare_exchange_weak_explicit(&in_use, &now, then, memory_order_release,
                                                    memory_order_relaxed));
}
