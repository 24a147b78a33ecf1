/* A run and its workers: what every kernel may see.
 *
 *   coordinator (the calling thread)           worker i, N of them
 *   prepare; start workers            ->       arrive at CREATED
 *   read resident memory, open FILLING ->      kernel fill; arrive
 *   open RUNNING; sleep the warm-up            loop: steps, publish counters
 *   snapshot counters; sample; snapshot        loop
 *   set stop; wait for all; open DRAINING ->   kernel drain; end
 *
 * Ownership: a struct worker belongs to its thread (and, when that ends, to its successor), but for
 * the published counters, which it stores and the coordinator loads, both relaxed. A struct run is
 * constant after prepare, but for the atomics and what `lock` protects. Nothing spins. */
#ifndef WORKLOADS_ENGINE_H
#define WORKLOADS_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "histogram.h"
#include "pages.h"
#include "random.h"
#include "workloads.h"

/* Two lines: processors fetch lines in pairs. */
#define APART 128

enum gate { CREATED, FILLING, RUNNING, DRAINING };

struct worker;
struct run;

typedef void steps(struct worker *worker, uint64_t count);

struct kernel {
    const char *name;
    /* Makes the shared state; one thread. false: run_refuse() was called. */
    bool (*prepare)(struct run *run);
    /* Brings the worker's blocks to their working set; also run at each ramp stage. NULL: none. */
    void (*fill)(struct worker *worker);
    /* Runs `count` steps with everything a request can ask for. */
    steps *general;
    /* The same operation stream, specialised for this run, or NULL where there is no such loop. */
    steps *(*fast)(const struct run *run);
    /* That loop with an inline bump of a pointer for malloc: the floor of the measurement. */
    steps *(*bare)(const struct run *run);
    /* Frees all the worker holds, and its part of what is shared. All workers are stopped, or in a
     * drain stage, where others may still be stepping. */
    void (*drain)(struct worker *worker);
    uint32_t step_operations; /* operations a step of the fast loop makes: 1 or 2 */
};

struct worker {
    struct random random; /* the operation stream; nothing else may draw from it */
    uint32_t cursor;      /* next place in the size order */
    uint32_t order;       /* of the sizes: see size_place() */
    uint32_t call_cursor;
    uint64_t operations; /* mallocs and frees (and reallocs) so far, refused ones too */
    uint64_t units;      /* what the kernel counts, where that is not operations */
    int64_t live;        /* bytes this thread allocated less bytes it freed */
    uint64_t until_timed;
    struct run *run;
    void *state; /* the kernel's own */
    uint32_t index;
    uint32_t retire; /* set by a kernel: let a successor take over after this step */
    uint64_t life_end;
    uint64_t failed, checked, fallback, lives, failed_successors;
    uint64_t digest, recorded; /* see block.c */
    uint64_t sink;
    struct random timing; /* jitter of the timed operations */
    struct histogram *malloc_times, *free_times;
    bool timed_in_window;
    pthread_t self, predecessor;
    pthread_attr_t attributes;
    uint32_t stage_seen;
    _Alignas(APART) _Atomic uint64_t published_units;
    _Atomic int64_t published_live;
    _Atomic uint64_t published_operations; /* whatever the unit */
    _Alignas(APART) char end[];
};

struct run {
    const struct wk_request *request;
    const struct kernel *kernel;
    struct wk_result *result;
    steps *steps;
    void *shared; /* the kernel's */
    struct worker *workers;
    struct pages pages;
    uint32_t threads;
    double tick_ns; /* nanoseconds a tick of clock_ticks() */
    _Alignas(APART) _Atomic bool stop;
    _Atomic bool in_window;
    _Atomic uint32_t latency_every; /* of the request; another from the window's start on */
    _Atomic uint32_t stage;         /* serial number of the stage, from 0 */
    _Atomic uint32_t stage_kind;    /* enum wk_stage_kind */
    _Atomic uint32_t finished;      /* workers that reached the operation limit */
    _Atomic bool violated;          /* whoever sets it writes result->violation */
    _Alignas(APART)
        pthread_mutex_t lock; /* leaf lock: gate, arrived, aborted and what waits on changed */
    pthread_cond_t changed;
    enum gate gate;
    uint32_t arrived;
    bool aborted;
};

/* The request's parameter of that name; refuses the run (and gives 0) where it is absent. */
double run_parameter(struct run *run, const char *name);
/* Memory for the run, or NULL with the run refused. */
void *run_take(struct run *run, size_t bytes);
/* Records why the run cannot be; only before the workers start. Returns false. */
bool run_refuse(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the run early; for the worker that found a violation. */
void run_stop(struct run *run);
static inline bool run_stopping(const struct run *run) {
    return atomic_load_explicit(&run->stop, memory_order_relaxed);
}
/* True when the worker's kernel should give up waiting for others: stop, or no steady stage. */
static inline bool run_pausing(const struct run *run) {
    return run_stopping(run) ||
           atomic_load_explicit(&run->stage_kind, memory_order_relaxed) != WK_STEADY;
}

/* Shows the worker's counters to the coordinator. The loop does it after each chunk of steps, and
 * the blocks every 32 operations, so a kernel with long steps need not. */
void worker_publish(struct worker *worker);

/* Start all workers; false: result->error says why, and none is left. */
bool workers_start(struct run *run);
/* Waits until all stand before the next gate. */
void workers_await(struct run *run);
/* Opens it; only after workers_await(). */
void workers_open(struct run *run, enum gate next);
void workers_join(struct run *run);
/* Announces a stage to workers. */
void workers_stage(struct run *run, enum wk_stage_kind kind);

const struct kernel *kernel_named(const char *name);

#endif
