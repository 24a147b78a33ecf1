/* Blocks of every kind, freed or resized by another thread than the one that took them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "memory.h"
#include "pattern.h"
#include "team.h"

enum { SLOTS = 4096 };

/* Each slot has a lock: the hand-over is then a release and acquire pair, as in real programs. */
struct exchange {
    struct {
        atomic_flag taken;
        struct block block;
    } slots[SLOTS];
    size_t rounds, limit;
    void (*action)(struct block *block, uint64_t *random, size_t limit, size_t owner);
};

static void replace(struct block *block, uint64_t *random, size_t limit, size_t owner) {
    block_drop(block);
    block_take(block, (enum kind)random_below(random, KINDS), block_size_draw(random, limit),
               (uint32_t)owner);
}

static void replace_by_malloc(struct block *block, uint64_t *random, size_t limit, size_t owner) {
    block_drop(block);
    block_take(block, BY_MALLOC, block_size_draw(random, limit), (uint32_t)owner);
}

static void resize(struct block *block, uint64_t *random, size_t limit, size_t owner) {
    if (block->at == NULL) {
        block_take(block, BY_MALLOC, block_size_draw(random, limit), (uint32_t)owner);
    } else {
        block_resize(block, block_size_draw(random, limit), (uint32_t)owner);
    }
}

static void exchange_work(size_t index, void *argument) {
    struct exchange *exchange = argument;
    uint64_t random = index + 1;
    for (size_t round = 0; round < exchange->rounds; round++) {
        size_t slot = random_below(&random, SLOTS);
        if (atomic_flag_test_and_set_explicit(&exchange->slots[slot].taken, memory_order_acquire)) {
            continue;
        }
        exchange->action(&exchange->slots[slot].block, &random, exchange->limit, index);
        atomic_flag_clear_explicit(&exchange->slots[slot].taken, memory_order_release);
    }
}

static void exchange_run(size_t threads, size_t operations, size_t limit,
                         void (*action)(struct block *, uint64_t *, size_t, size_t)) {
    struct exchange *exchange = memory_pages(sizeof *exchange);
    exchange->rounds = operations / threads;
    exchange->limit = limit;
    exchange->action = action;
    team_run(threads, exchange_work, exchange);
    for (size_t slot = 0; slot < SLOTS; slot++) {
        block_drop(&exchange->slots[slot].block);
    }
}

static void two_tiny(void) {
    exchange_run(2, effort(1000000, 200000), 1024, replace_by_malloc);
}

static void eight_mixed(void) {
    exchange_run(8, effort(300000, 60000), 32 * KIB, replace);
}

static void eight_large(void) {
    exchange_run(8, effort(8000, 2000), 2 * MIB, replace_by_malloc);
}

static void sixty_four(void) {
    exchange_run(64, effort(300000, 60000), 16 * KIB, replace);
}

static void two_hundred_fifty_six(void) {
    exchange_run(256, effort(300000, 100000), 8 * KIB, replace);
}

static void resized_across(void) {
    exchange_run(8, effort(100000, 30000), 48 * KIB, resize);
}

/* One thread takes, the others free: memory must not pile up with the taker. */
struct pipe_line {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct block queue[256];
    size_t head, tail, total;
    bool done;
};

static void pipe_produce(struct pipe_line *line) {
    uint64_t random = 5;
    for (size_t i = 0; i < line->total; i++) {
        struct block block;
        block_take(&block, BY_MALLOC, block_size_draw(&random, 8 * KIB), 0);
        pthread_mutex_lock(&line->lock);
        while (line->head - line->tail == 256) {
            pthread_cond_wait(&line->changed, &line->lock);
        }
        line->queue[line->head++ % 256] = block;
        pthread_cond_broadcast(&line->changed);
        pthread_mutex_unlock(&line->lock);
    }
    pthread_mutex_lock(&line->lock);
    line->done = true;
    pthread_cond_broadcast(&line->changed);
    pthread_mutex_unlock(&line->lock);
}

static void pipe_consume(struct pipe_line *line) {
    for (;;) {
        pthread_mutex_lock(&line->lock);
        while (line->head == line->tail && !line->done) {
            pthread_cond_wait(&line->changed, &line->lock);
        }
        if (line->head == line->tail) {
            pthread_mutex_unlock(&line->lock);
            return;
        }
        struct block block = line->queue[line->tail++ % 256];
        pthread_cond_broadcast(&line->changed);
        pthread_mutex_unlock(&line->lock);
        block_drop(&block);
    }
}

static void pipe_work(size_t index, void *argument) {
    if (index == 0) {
        pipe_produce(argument);
    } else {
        pipe_consume(argument);
    }
}

static void one_way(void) {
    struct pipe_line *line = memory_pages(sizeof *line);
    pthread_mutex_init(&line->lock, NULL);
    pthread_cond_init(&line->changed, NULL);
    line->total = effort(150000, 50000);
    team_run(4, pipe_work, line); /* fills the caches, which are allowed */
    line->done = false;
    size_t before = memory_resident();
    team_run(4, pipe_work, line);
    size_t after = memory_resident();
    REQUIRE(after < before + (size_t)16 * MIB,
            "a producer of at most 260 live blocks of 8 KiB, run again, left %zu MiB more resident",
            (after - before) / MIB);
}

/* All of one thread's blocks freed by another in one go, in the other order, again and again. */
struct relay {
    struct block *blocks;
    size_t count, rounds;
    pthread_barrier_t turn;
};

static void relay_work(size_t index, void *argument) {
    struct relay *relay = argument;
    uint64_t random = 77;
    for (size_t round = 0; round < relay->rounds; round++) {
        if (round % 2 == index) {
            for (size_t i = 0; i < relay->count; i++) {
                block_take(&relay->blocks[i], (enum kind)(i % KINDS),
                           block_size_draw(&random, 2048), (uint32_t)index);
            }
        }
        pthread_barrier_wait(&relay->turn);
        if (round % 2 != index) {
            for (size_t i = relay->count; i-- > 0;) {
                block_drop(&relay->blocks[i]);
            }
        }
        pthread_barrier_wait(&relay->turn);
    }
}

static void whole_loads(void) {
    struct relay relay = {.count = 20000, .rounds = effort(20, 6)};
    relay.blocks = memory_pages(relay.count * sizeof *relay.blocks);
    pthread_barrier_init(&relay.turn, NULL, 2);
    team_run(2, relay_work, &relay);
}

static const struct probe rows[] = {
    ROW("two-tiny", "tiny blocks exchanged by 2 threads keep their bytes", two_tiny, SLOW),
    ROW("eight-mixed", "blocks of every kind exchanged by 8 threads keep their bytes", eight_mixed,
        SLOW),
    ROW("eight-large", "large and huge blocks exchanged by 8 threads keep their bytes", eight_large,
        SLOW),
    ROW("sixty-four", "blocks exchanged by 64 threads keep their bytes", sixty_four, SLOW),
    ROW("two-hundred-fifty-six", "blocks exchanged by 256 threads keep their bytes",
        two_hundred_fifty_six, SLOW),
    ROW("resized", "blocks reallocated by other threads keep their bytes", resized_across, SLOW),
    ROW("one-way", "a producer and its consumers neither lose bytes nor pile up memory", one_way,
        SLOW),
    ROW("whole-loads", "one thread's whole load freed by another, in reverse", whole_loads, SLOW),
};

const struct area handover_area = AREA("handover", rows);
