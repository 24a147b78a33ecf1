/* One trial, seen from the calling thread: gates, windows, samples, sums. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "block.h"
#include "clock.h"
#include "engine.h"
#include "observe.h"
#include "timing.h"

static const double SAMPLE_SECONDS = 0.010;

struct trial {
    struct run run;
    struct observer observer;
    double opened, closed; /* the window, in clock_seconds() */
    uint64_t *before;      /* units of each worker as the window opened */
    double live_sum;
    uint64_t live_samples;
    uint32_t every, skipped; /* memory samples: one in `every` is kept */
    uint32_t stage;          /* position in the request's list */
    double stage_ends;
};

bool run_refuse(struct run *run, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!run->result->error[0]) {
        vsnprintf(run->result->error, sizeof run->result->error, format, arguments);
    }
    va_end(arguments);
    return false;
}

double run_parameter(struct run *run, const char *name) {
    for (uint32_t i = 0; i < run->request->parameter_count; i++) {
        if (strcmp(run->request->parameters[i].name, name) == 0) {
            return run->request->parameters[i].value;
        }
    }
    run_refuse(run, "kernel %s needs the parameter %s", run->kernel->name, name);
    return 0;
}

void *run_take(struct run *run, size_t bytes) {
    void *memory = pages_take(&run->pages, bytes);
    if (memory == NULL) {
        run_refuse(run, "no memory for %zu bytes of bookkeeping", bytes);
    }
    return memory;
}

static int64_t live_now(const struct run *run) {
    int64_t live = 0;
    for (uint32_t i = 0; i < run->threads; i++) {
        live += atomic_load_explicit(&run->workers[i].published_live, memory_order_relaxed);
    }
    /* Hand-offs make single threads negative; a sum below zero is a sample caught between two. */
    return live > 0 ? live : 0;
}

/* Halves the record's resolution when it is full, so it always spans the whole window. */
static void keep_sample(struct trial *trial, struct wk_sample sample) {
    struct wk_result *result = trial->run.result;
    if (trial->skipped++ % trial->every) {
        return;
    }
    if (result->sample_count == WK_SAMPLES) {
        for (uint32_t i = 0; i < WK_SAMPLES / 2; i++) {
            result->samples[i] = result->samples[(size_t)2 * i];
        }
        result->sample_count = WK_SAMPLES / 2;
        trial->every *= 2;
    }
    result->samples[result->sample_count++] = sample;
}

static void sample_memory(struct trial *trial, double now) {
    struct wk_result *result = trial->run.result;
    struct observed_memory memory = observe_memory(&trial->observer);
    int64_t live = live_now(&trial->run);
    if (memory.resident > result->resident_peak) {
        result->resident_peak = memory.resident;
    }
    if (memory.total > result->virtual_peak) {
        result->virtual_peak = memory.total;
    }
    if (live > result->live_peak) {
        result->live_peak = live;
    }
    result->resident_end = memory.resident;
    trial->live_sum += (double)live;
    trial->live_samples++;
    keep_sample(trial, (struct wk_sample){now - trial->opened, memory.resident, live});
    if (result->stage_count && result->stage_count <= WK_STAGES) {
        struct wk_stage_memory *stage = &result->stages[result->stage_count - 1];
        stage->end = now - trial->opened;
        stage->resident_end = memory.resident;
        if (memory.resident > stage->resident_peak) {
            stage->resident_peak = memory.resident;
        }
        if (live > stage->live_peak) {
            stage->live_peak = live;
        }
    }
}

static void begin_stage(struct trial *trial, double now) {
    const struct wk_request *request = trial->run.request;
    struct wk_result *result = trial->run.result;
    const struct wk_stage *stage = &request->stages[trial->stage % request->stage_count];
    trial->stage++;
    trial->stage_ends = now + stage->seconds;
    if (result->stage_count < WK_STAGES) {
        result->stages[result->stage_count++] =
            (struct wk_stage_memory){.kind = stage->kind, .start = now - trial->opened};
    } else {
        result->stage_count = WK_STAGES + 1; /* the rest is in the samples only */
    }
    sample_memory(trial, now); /* what a stage begins with is part of it, however soon it is gone */
    workers_stage(&trial->run, (enum wk_stage_kind)stage->kind);
}

static bool over_early(struct run *run) {
    return run_stopping(run) || atomic_load(&run->finished) == run->threads;
}

/* Sleeps to the end of the window, sampling; ends early where nobody is left to measure. */
static void watch_window(struct trial *trial) {
    struct run *run = &trial->run;
    double end = trial->opened + run->request->duration, next = trial->opened;
    bool staged = run->request->stage_count;
    for (double now = trial->opened; now < end && !over_early(run); now = clock_seconds()) {
        if (staged && now >= trial->stage_ends) {
            sample_memory(trial, now);
            begin_stage(trial, now);
        }
        if (now >= next) {
            sample_memory(trial, now);
            next = now + SAMPLE_SECONDS;
        }
        double wake = next < end ? next : end;
        clock_sleep_until(staged && trial->stage_ends < wake ? trial->stage_ends : wake);
    }
}

static double tick_length(uint64_t ticks, uint64_t nanoseconds) {
    uint64_t least = 2000000; /* 2 ms: an error of 50 ns in reading both is 0.003 % */
    uint64_t now = clock_nanoseconds();
    if (now - nanoseconds < least) {
        clock_sleep_until((double)(nanoseconds + least) * 1e-9);
    }
    now = clock_nanoseconds();
    return (double)(now - nanoseconds) / (double)(clock_ticks() - ticks);
}

static uint64_t operations_now(const struct run *run) {
    uint64_t operations = 0;
    for (uint32_t i = 0; i < run->threads; i++) {
        operations +=
            atomic_load_explicit(&run->workers[i].published_operations, memory_order_relaxed);
    }
    return operations;
}

/* CPU nanoseconds an operation cost since the workers had used `cpu` seconds for `operations`, or 0
 * where they ran too briefly to tell. CPU time, for threads wait for processors and each other. */
static double operation_cost(const struct run *run, double cpu, uint64_t operations) {
    static const double LEAST_SECONDS = 0.0005;
    /* The two readings belong together only if no worker ran long between them. */
    for (int attempt = 0; attempt < 8; attempt++) {
        double before = clock_workers_seconds() - cpu;
        uint64_t done = operations_now(run) - operations;
        double after = clock_workers_seconds() - cpu;
        if (done && before > LEAST_SECONDS && after < 1.1 * before) {
            return after * 1e9 / (double)done;
        }
    }
    return 0;
}

/* Sets how often operations are timed by what they cost in the warm-up, in which none is. */
static void settle_latency(struct run *run, double operation_cost) {
    struct wk_result *result = run->result;
    if (!run->request->latency_every) {
        return;
    }
    result->timing_cost = timing_cost();
    result->latency_every =
        wk_latency_every(run->request->latency_every, result->timing_cost, operation_cost);
    atomic_store_explicit(&run->latency_every, result->latency_every, memory_order_relaxed);
}

static void measure(struct trial *trial) {
    struct run *run = &trial->run;
    struct wk_result *result = run->result;
    struct observation start, end;
    uint64_t ticks = clock_ticks(), nanoseconds = clock_nanoseconds();
    workers_await(run);
    uint64_t filled = operations_now(run);
    double idle = clock_workers_seconds();
    workers_open(run, RUNNING);
    double warm = clock_seconds() + run->request->warmup;
    while (!over_early(run) && clock_seconds() < warm) {
        double step = clock_seconds() + SAMPLE_SECONDS;
        clock_sleep_until(step < warm ? step : warm);
    }
    run->tick_ns = tick_length(ticks, nanoseconds);
    settle_latency(run, operation_cost(run, idle, filled));
    /* What takes longest stands farthest from the edge: the workers run on meanwhile. */
    if (run->request->at_edge != NULL) {
        run->request->at_edge(WK_OPENS);
    }
    observe(&trial->observer, &start);
    result->resident_start = observe_memory(&trial->observer).resident;
    for (uint32_t i = 0; i < run->threads; i++) {
        trial->before[i] =
            atomic_load_explicit(&run->workers[i].published_units, memory_order_relaxed);
    }
    trial->opened = clock_seconds();
    trial->stage_ends = trial->opened;
    atomic_store_explicit(&run->in_window, true, memory_order_release);
    watch_window(trial);
    for (uint32_t i = 0; i < run->threads; i++) {
        result->per_thread[i] =
            atomic_load_explicit(&run->workers[i].published_units, memory_order_relaxed) -
            trial->before[i];
    }
    trial->closed = clock_seconds();
    atomic_store_explicit(&run->in_window, false, memory_order_release);
    sample_memory(trial, trial->closed);
    observe(&trial->observer, &end);
    if (run->request->at_edge != NULL) {
        run->request->at_edge(WK_CLOSES);
    }
    run_stop(run);
    result->elapsed = trial->closed - trial->opened;
    result->usage = usage_between(&start, &end);
    result->migrations = counted_between(&trial->observer, MIGRATIONS, &start, &end);
    result->cycles = counted_between(&trial->observer, CYCLES, &start, &end);
    result->instructions = counted_between(&trial->observer, INSTRUCTIONS, &start, &end);
    result->cache_misses = counted_between(&trial->observer, CACHE_MISSES, &start, &end);
    result->futex_calls = counted_between(&trial->observer, FUTEX_CALLS, &start, &end);
    result->run_delay = counted_between(&trial->observer, RUN_DELAY, &start, &end);
}

static void add_up(struct trial *trial) {
    struct run *run = &trial->run;
    struct wk_result *result = run->result;
    for (uint32_t i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        result->operations += result->per_thread[i];
        result->progressed += result->per_thread[i] > 0;
        result->digests[i] = worker->digest;
        result->total_operations += worker->operations;
        result->failed_allocations += worker->failed;
        result->failed_successors += worker->failed_successors;
        result->lives += worker->lives;
        result->fallback_frees += worker->fallback;
        result->checked += worker->checked;
        result->live_drained += worker->live;
        for (uint32_t bucket = 0; bucket < WK_BUCKETS; bucket++) {
            result->malloc_counts[bucket] += worker->malloc_times->counts[bucket];
            result->free_counts[bucket] += worker->free_times->counts[bucket];
        }
    }
    result->live_mean = trial->live_sum / (double)trial->live_samples;
}

static bool prepare(struct trial *trial) {
    struct run *run = &trial->run;
    const struct wk_request *request = run->request;
    run->kernel = kernel_named(request->kernel);
    if (run->kernel == NULL) {
        return run_refuse(run, "there is no kernel named %s", request->kernel);
    }
    if (!request->threads || !request->chunk) {
        return run_refuse(run, "threads and chunk must be at least 1");
    }
    run->threads = request->threads;
    atomic_store(&run->latency_every, request->latency_every);
    run->workers = run_take(run, run->threads * sizeof *run->workers);
    trial->before = run_take(run, run->threads * sizeof *trial->before);
    if (run->workers == NULL || trial->before == NULL || !run->kernel->prepare(run) ||
        run->result->error[0]) {
        return false;
    }
    if (request->loop != WK_LOOP_MALLOC) {
        if (run->kernel->bare == NULL || !block_quick_fits(run) || request->life) {
            return run_refuse(run, "kernel %s has no bare loop for this request", request->kernel);
        }
        if (request->threads > 1 || request->latency_every) {
            return run_refuse(run, "a bare loop has one thread and no latencies");
        }
        run->steps = run->kernel->bare(run);
        return true;
    }
    run->steps = run->kernel->fast != NULL ? run->kernel->fast(run) : NULL;
    if (run->steps == NULL) {
        run->steps = run->kernel->general;
    }
    return true;
}

int wk_run(const struct wk_request *request, struct wk_result *result) {
    struct trial trial;
    memset(&trial, 0, sizeof trial);
    trial.every = 1;
    struct run *run = &trial.run;
    run->request = request;
    run->result = result;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    bool ready = prepare(&trial);
    if (ready) {
        observer_open(&trial.observer);
        ready = workers_start(run);
        if (ready) {
            workers_await(run);
            result->resident_before = observe_memory(&trial.observer).resident;
            workers_open(run, FILLING);
            measure(&trial);
            workers_await(run);
            workers_open(run, DRAINING);
            workers_join(run);
            add_up(&trial);
            result->resident_drained = observe_memory(&trial.observer).resident;
        }
        observer_close(&trial.observer);
    }
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->lock);
    pages_return(&run->pages);
    return ready ? 0 : -1;
}

uint64_t wk_counter_stride(void) {
    _Static_assert(sizeof(struct worker) % APART == 0, "workers are whole pairs of lines");
    _Static_assert(offsetof(struct worker, published_units) % APART == 0, "counters stand alone");
    return sizeof(struct worker);
}
