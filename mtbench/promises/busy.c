#include "busy.h"

#include <stdatomic.h>

#include "block.h"
#include "pattern.h"
#include "team.h"

enum { HELD = 64 };

static pthread_t started[BUSY_MOST];
static size_t count, largest;
static atomic_bool ending;

static void *work(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct block held[HELD] = {0};
    while (!atomic_load(&ending)) {
        struct block *block = &held[random_below(&random, HELD)];
        block_drop(block);
        block_take(block, (enum kind)random_below(&random, KINDS),
                   block_size_draw(&random, largest), 1);
    }
    for (size_t i = 0; i < HELD; i++) {
        block_drop(&held[i]);
    }
    return NULL;
}

const pthread_t *busy_begin(size_t threads, size_t limit) {
    largest = limit;
    atomic_store(&ending, false);
    for (count = 0; count < threads; count++) {
        started[count] = thread_start(work, (void *)(count + 1));
    }
    return started;
}

void busy_end(void) {
    atomic_store(&ending, true);
    for (size_t i = 0; i < count; i++) {
        thread_join(started[i]);
    }
}
