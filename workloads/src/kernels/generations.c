/* Rounds. In each, thread i of N handles `blocks` times a load from 1 (the first) to 8 (the last)
 * blocks: a quarter is swapped through shared slots, half is retained to the end of the round, the
 * rest freed at once; what is retained is freed in the round after. A round ends when all threads
 * have finished it; then successors replace them all. Every word is
 * read at free, and checked where the run verifies. */
#include <string.h>
#include <time.h>

#include "shared_slots.h"

struct retained {
    struct block *blocks;
    uint32_t used, done, load; /* done: blocks of this round, of `load` */
    uint32_t old;              /* of the round before, still to be freed: blocks[0 .. old) */
};

struct generations {
    struct shared_slots slots;
    struct retained *retained;
    _Alignas(APART) pthread_mutex_t lock; /* leaf lock: round, waiting */
    pthread_cond_t next_round;
    uint64_t round;
    uint32_t waiting;
};

static bool prepare(struct run *run) {
    struct generations *shared = run_take(run, sizeof *shared);
    struct retained *retained = run_take(run, run->threads * sizeof *retained);
    if (shared == NULL || retained == NULL ||
        !shared_slots_prepare(run, &shared->slots, run_parameter(run, "total_slots"))) {
        return false;
    }
    run->shared = shared;
    shared->retained = retained;
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->next_round, NULL);
    double blocks = run_parameter(run, "blocks");
    for (uint32_t i = 0; i < run->threads; i++) {
        double load = run->threads > 1 ? 1 + 7.0 * i / (run->threads - 1) : 1;
        retained[i].load = (uint32_t)(blocks * load);
        retained[i].blocks = run_take(run, 2 * (size_t)retained[i].load * sizeof(struct block));
        if (retained[i].blocks == NULL) {
            return false;
        }
        run->workers[i].state = &retained[i];
    }
    return true;
}

static void read_and_release(struct worker *worker, struct block *block, uint32_t owner) {
    block_read(worker, block);
    block_release(worker, block, owner);
}

/* Waits for the others; returns without them where the run stops or pauses. */
static void end_round(struct worker *worker) {
    struct run *run = worker->run;
    struct generations *shared = run->shared;
    pthread_mutex_lock(&shared->lock);
    uint64_t round = shared->round;
    if (++shared->waiting == run->threads) {
        shared->waiting = 0;
        shared->round++;
        pthread_cond_broadcast(&shared->next_round);
    }
    while (shared->round == round && !run_pausing(run)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 10000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&shared->next_round, &shared->lock, &until);
    }
    if (shared->round == round) {
        shared->waiting--;
    } else {
        worker->retire = 1;
    }
    pthread_mutex_unlock(&shared->lock);
}

static void one_block(struct worker *worker, struct retained *retained) {
    struct generations *shared = worker->run->shared;
    uint32_t fate = random_below(&worker->random, 4);
    uint32_t position = random_below(&worker->random, shared->slots.count);
    struct block block = block_make(worker);
    if (retained->old) {
        read_and_release(worker, &retained->blocks[--retained->old], worker->index);
    }
    if (block.address == NULL) {
        return;
    }
    if (fate == 0) {
        block = shared_slots_swap(worker->run, &shared->slots, position, block);
        read_and_release(worker, &block, ANYONE);
    } else if (fate < 3) {
        retained->blocks[retained->load + retained->used++] = block;
    } else {
        read_and_release(worker, &block, worker->index);
    }
}

static void general(struct worker *worker, uint64_t count) {
    struct retained *retained = worker->state;
    for (; count && !run_stopping(worker->run); count--) {
        one_block(worker, retained);
        if (++retained->done < retained->load) {
            continue;
        }
        while (retained->old) {
            read_and_release(worker, &retained->blocks[--retained->old], worker->index);
        }
        memcpy(retained->blocks, retained->blocks + retained->load,
               retained->used * sizeof(struct block));
        retained->old = retained->used;
        retained->used = retained->done = 0;
        end_round(worker);
        return; /* the engine brings in the successor */
    }
}

static void drain(struct worker *worker) {
    struct generations *shared = worker->run->shared;
    struct retained *retained = worker->state;
    while (retained->old) {
        block_release(worker, &retained->blocks[--retained->old], worker->index);
    }
    while (retained->used) {
        block_release(worker, &retained->blocks[retained->load + --retained->used], worker->index);
    }
    shared_slots_drain(worker, &shared->slots);
}

const struct kernel kernel_generations = {.name = "generations",
                                          .prepare = prepare,
                                          .general = general,
                                          .drain = drain,
                                          .step_operations = 2};
