/* The worker threads: birth, loop, succession, end. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "engine.h"

enum { STACK_BYTES = 256 * 1024 };

void worker_publish(struct worker *worker) {
    enum wk_unit unit = (enum wk_unit)worker->run->request->unit;
    /* Every refused allocation is one of the operations; it served nobody, so it is none here. */
    uint64_t counted = unit == WK_UNIT_OPERATIONS ? worker->operations - worker->failed
                       : unit == WK_UNIT_LIVES    ? worker->lives
                                                  : worker->units;
    atomic_store_explicit(&worker->published_units, counted, memory_order_relaxed);
    atomic_store_explicit(&worker->published_live, worker->live, memory_order_relaxed);
    atomic_store_explicit(&worker->published_operations, worker->operations, memory_order_relaxed);
}

/* Announces arrival and waits for the coordinator. false: the run was given up. */
static bool arrive(struct run *run, enum gate next) {
    pthread_mutex_lock(&run->lock);
    run->arrived++;
    pthread_cond_broadcast(&run->changed);
    while (run->gate < next && !run->aborted) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    bool go = !run->aborted;
    pthread_mutex_unlock(&run->lock);
    return go;
}

/* Carries out a stage that began since the last look; blocks in all but the steady ones. */
static void follow_stage(struct worker *worker) {
    struct run *run = worker->run;
    uint32_t stage = atomic_load_explicit(&run->stage, memory_order_acquire);
    if (stage == worker->stage_seen) {
        return;
    }
    worker->stage_seen = stage;
    enum wk_stage_kind kind = atomic_load_explicit(&run->stage_kind, memory_order_relaxed);
    if (kind == WK_STEADY) {
        return;
    }
    if (kind == WK_DRAIN) {
        run->kernel->drain(worker);
    } else if (run->kernel->fill != NULL) {
        run->kernel->fill(worker);
    }
    worker_publish(worker);
    pthread_mutex_lock(&run->lock);
    while (!run_stopping(run) && atomic_load_explicit(&run->stage, memory_order_relaxed) == stage) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *worker_main(void *argument);

/* Starts the successor, which joins this thread. After success the worker is no longer ours. */
static bool succeeded(struct worker *worker) {
    uint64_t life = worker->run->request->life;
    worker->life_end = life ? worker->operations + life : UINT64_MAX;
    worker->retire = 0;
    worker->predecessor = pthread_self();
    worker->lives++;
    pthread_t successor;
    if (!pthread_create(&successor, &worker->attributes, worker_main, worker)) {
        return true;
    }
    worker->lives--;
    worker->failed_successors++;
    return false;
}

/* true: a successor has taken over. */
static bool live(struct worker *worker) {
    struct run *run = worker->run;
    const struct wk_request *request = run->request;
    uint64_t chunk = request->chunk, limit = request->operation_limit;
    uint64_t per_step = run->kernel->step_operations;
    bool quick = run->steps != run->kernel->general;
    while (!run_stopping(run)) {
        follow_stage(worker);
        if (!quick) {
            run->steps(worker, chunk);
        } else {
            /* As many steps as come before the next timed operation, which goes the long way. */
            uint64_t before = (worker->until_timed - 1) / per_step;
            uint64_t count = before < chunk ? before : chunk;
            if (count) {
                run->steps(worker, count);
            }
            worker->until_timed -= count * per_step;
            if (count == before) {
                run->kernel->general(worker, 1);
            }
        }
        worker_publish(worker);
        if (limit && worker->operations >= limit) {
            atomic_fetch_add(&run->finished, 1);
            return false;
        }
        if ((worker->operations >= worker->life_end || worker->retire) && !run_stopping(run) &&
            succeeded(worker)) {
            return true;
        }
    }
    return false;
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    struct run *run = worker->run;
    worker->self = pthread_self();
    if (worker->lives > 1) {
        pthread_join(worker->predecessor, NULL);
    } else {
        if (!arrive(run, FILLING)) {
            return NULL;
        }
        if (run->kernel->fill != NULL && run->request->loop == WK_LOOP_MALLOC) {
            run->kernel->fill(worker);
        }
        worker_publish(worker);
        if (!arrive(run, RUNNING)) {
            return NULL;
        }
    }
    if (live(worker)) {
        return NULL;
    }
    arrive(run, DRAINING);
    if (run->request->loop == WK_LOOP_MALLOC) { /* else: its blocks are no blocks */
        run->kernel->drain(worker);
    }
    worker_publish(worker);
    return NULL;
}

static void set_up(struct run *run, struct worker *worker, uint32_t index) {
    const struct wk_request *request = run->request;
    worker->run = run;
    worker->index = index;
    worker->random = random_split(request->seed, 2 * (uint64_t)index);
    worker->timing = random_split(request->seed, 2 * (uint64_t)index + 1);
    struct random order = random_split(~request->seed, index);
    worker->order = random_below(&order, WK_SIZES);
    worker->call_cursor = random_below(&order, WK_CALLS);
    worker->life_end = request->life ? request->life : UINT64_MAX;
    worker->until_timed = request->latency_every
                              ? 1 + random_below(&worker->timing, 2 * request->latency_every - 1)
                              : UINT64_MAX;
    worker->lives = 1;
    pthread_attr_init(&worker->attributes);
    pthread_attr_setstacksize(&worker->attributes, STACK_BYTES);
}

static int start_one(struct run *run, struct worker *worker) {
    const struct wk_request *request = run->request;
    if (request->affinity_count) {
        cpu_set_t processors;
        CPU_ZERO(&processors);
        int processor = request->affinity[worker->index % request->affinity_count];
        if (processor < 0 || processor >= CPU_SETSIZE) {
            return EINVAL;
        }
        CPU_SET(processor, &processors);
        pthread_attr_setaffinity_np(&worker->attributes, sizeof processors, &processors);
    }
    pthread_t started; /* the worker writes its own handle, where it is ordered by the gates */
    return pthread_create(&started, &worker->attributes, worker_main, worker);
}

bool workers_start(struct run *run) {
    struct histogram *times = run_take(run, (size_t)2 * run->threads * sizeof *times);
    if (times == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < run->threads; i++) {
        struct worker *worker = &run->workers[i];
        set_up(run, worker, i);
        worker->malloc_times = times++;
        worker->free_times = times++;
    }
    for (uint32_t i = 0; i < run->threads; i++) {
        int failure = start_one(run, &run->workers[i]);
        if (!failure) {
            continue;
        }
        run_refuse(run, "thread %u of %u cannot be started%s: %s", i + 1, run->threads,
                   run->request->affinity_count ? " on its processor" : "", strerror(failure));
        pthread_mutex_lock(&run->lock);
        while (run->arrived < i) {
            pthread_cond_wait(&run->changed, &run->lock);
        }
        run->aborted = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        for (uint32_t started = 0; started < i; started++) {
            pthread_join(run->workers[started].self, NULL);
        }
        return false;
    }
    return true;
}

void workers_await(struct run *run) {
    pthread_mutex_lock(&run->lock);
    while (run->arrived < run->threads) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
}

void workers_open(struct run *run, enum gate next) {
    pthread_mutex_lock(&run->lock);
    run->arrived = 0;
    run->gate = next;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

void workers_stage(struct run *run, enum wk_stage_kind kind) {
    pthread_mutex_lock(&run->lock);
    atomic_store_explicit(&run->stage_kind, kind, memory_order_relaxed);
    atomic_fetch_add_explicit(&run->stage, 1, memory_order_release);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

void run_stop(struct run *run) {
    pthread_mutex_lock(&run->lock);
    atomic_store(&run->stop, true);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

void workers_join(struct run *run) {
    for (uint32_t i = 0; i < run->threads; i++) {
        pthread_join(run->workers[i].self, NULL);
        pthread_attr_destroy(&run->workers[i].attributes);
    }
}
