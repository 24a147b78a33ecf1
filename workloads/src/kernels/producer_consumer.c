/* Producers allocate batches and put them into one bounded queue; consumers take a batch and free
 * it. Threads sleep on an empty or a full queue, whose memory is not malloc's. A thread alone does
 * both in turn.
 *
 * A consumer allocates one block before it starts, unless asked not to: gperftools' tcmalloc and
 * jemalloc give a thread its cache at its first malloc, and free one by one under a lock before. */
#include <time.h>

#include "block.h"

struct batch {
    struct batch *next;
    uint32_t used;
    uint64_t words[];
};

struct producer_consumer {
    uint32_t batch_size, producers;
    bool consumers_only_free;
    _Alignas(APART) pthread_mutex_t lock; /* leaf lock: all below */
    pthread_cond_t changed;
    struct batch *empty;       /* a stack */
    struct batch *full, *last; /* a queue */
};

static bool prepare(struct run *run) {
    struct producer_consumer *shared = run_take(run, sizeof *shared);
    if (shared == NULL) {
        return false;
    }
    run->shared = shared;
    shared->batch_size = (uint32_t)run_parameter(run, "batch");
    double producers = run_parameter(run, "producers") * run->threads + 0.5;
    shared->consumers_only_free = run_parameter(run, "consumers") == WK_CONSUMERS_ONLY_FREE;
    double queue = run_parameter(run, "queue");
    uint32_t most = run->threads > 1 ? run->threads - 1 : 1;
    shared->producers = producers < 1 ? 1 : producers > most ? most : (uint32_t)producers;
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->changed, NULL);
    /* One more than the queue holds for each thread, which is the one in its hands. */
    size_t bytes = sizeof(struct batch) + shared->batch_size * sizeof(uint64_t);
    bytes = (bytes + APART - 1) & ~(size_t)(APART - 1);
    uint32_t batches = (uint32_t)queue + run->threads;
    char *pool = run_take(run, batches * bytes);
    if (pool == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < batches; i++) {
        struct batch *batch = (struct batch *)(pool + i * bytes);
        batch->next = shared->empty;
        shared->empty = batch;
    }
    return true;
}

/* Sleeps until the queue changed, at most 10 ms so that a stop is seen. Holds the lock. */
static void wait_for_change(struct producer_consumer *shared) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&shared->changed, &shared->lock, &until);
}

static struct batch *pop_full(struct producer_consumer *shared) {
    struct batch *batch = shared->full;
    if (batch != NULL) {
        shared->full = batch->next;
    }
    return batch;
}

static struct batch *pop_empty(struct producer_consumer *shared) {
    struct batch *batch = shared->empty;
    if (batch != NULL) {
        shared->empty = batch->next;
    }
    return batch;
}

/* NULL: the run is stopping or pausing. */
static struct batch *wait_for(struct run *run, struct batch *(*pop)(struct producer_consumer *)) {
    struct producer_consumer *shared = run->shared;
    pthread_mutex_lock(&shared->lock);
    struct batch *batch = pop(shared);
    while (batch == NULL && !run_pausing(run)) {
        wait_for_change(shared);
        batch = pop(shared);
    }
    pthread_mutex_unlock(&shared->lock);
    return batch;
}

static void push(struct producer_consumer *shared, struct batch *batch) {
    pthread_mutex_lock(&shared->lock);
    if (batch->used) {
        batch->next = NULL;
        if (shared->full != NULL) {
            shared->last->next = batch;
        } else {
            shared->full = batch;
        }
        shared->last = batch;
    } else {
        batch->next = shared->empty;
        shared->empty = batch;
    }
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

static bool produces(const struct worker *worker) {
    const struct producer_consumer *shared = worker->run->shared;
    return worker->index < shared->producers;
}

static void fill(struct worker *worker) {
    const struct producer_consumer *shared = worker->run->shared;
    if (produces(worker) || shared->consumers_only_free) {
        return;
    }
    struct block block = block_make(worker);
    block_release(worker, &block, worker->index);
}

static void produce(struct worker *worker) {
    struct producer_consumer *shared = worker->run->shared;
    struct batch *batch = wait_for(worker->run, pop_empty);
    if (batch == NULL) {
        return;
    }
    for (uint32_t i = 0; i < shared->batch_size && !run_stopping(worker->run); i++) {
        struct block block = block_make(worker);
        if (block.address != NULL) {
            batch->words[batch->used++] = block_pack(block);
        }
    }
    push(shared, batch);
}

static void release_all(struct worker *worker, struct batch *batch) {
    for (uint32_t i = 0; i < batch->used; i++) {
        struct block block = block_unpack(worker->run, batch->words[i]);
        block_release(worker, &block, ANYONE);
    }
    batch->used = 0;
    push(worker->run->shared, batch);
}

static void consume(struct worker *worker) {
    struct batch *batch = wait_for(worker->run, pop_full);
    if (batch != NULL) {
        release_all(worker, batch);
    }
}

/* One batch, whatever the count: the engine looks again after it. */
static void general(struct worker *worker, uint64_t count) {
    (void)count;
    if (produces(worker)) {
        produce(worker);
    }
    if (!produces(worker) || worker->run->threads == 1) {
        consume(worker);
    }
}

static void drain(struct worker *worker) {
    struct producer_consumer *shared = worker->run->shared;
    for (;;) {
        pthread_mutex_lock(&shared->lock);
        struct batch *batch = pop_full(shared);
        pthread_mutex_unlock(&shared->lock);
        if (batch == NULL) {
            return;
        }
        release_all(worker, batch);
    }
}

const struct kernel kernel_producer_consumer = {.name = "producer_consumer",
                                                .prepare = prepare,
                                                .fill = fill,
                                                .general = general,
                                                .drain = drain,
                                                .step_operations = 1};
