/* What the engine is asked and what it answers: one call runs one trial.
 *
 * The caller owns every buffer named here, before and after the call. The engine keeps no state
 * between calls, allocates its own bookkeeping with mmap only, and calls the process's malloc for
 * nothing but the workload (pthread_create aside, which is libc's own affair).
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdint.h>

enum {
    WK_SIZES = 65536,     /* entries of the size table */
    WK_CALLS = 4096,      /* entries of the call table */
    WK_ALIGNMENTS = 4096, /* entries of the alignment table */
    WK_OCTAVE = 64,       /* buckets of a latency histogram for each doubling: see histogram.h */
    WK_BUCKETS = 2240,    /* its buckets */
    WK_SAMPLES = 200,     /* rows of the memory record */
    WK_STAGES = 64,       /* stages that are reported one by one */
    WK_FINEST = 256,      /* the finest sampling of latencies that is lengthened */
    WK_TEXT = 240
};

enum wk_call {
    WK_MALLOC,
    WK_CALLOC,
    WK_REALLOC_GROW,
    WK_REALLOC_SHRINK,
    WK_REALLOC_RANDOM,
    WK_ALIGNED_ALLOC
};
enum wk_touch { WK_TOUCH_NONE, WK_TOUCH_FIRST, WK_TOUCH_ENDS, WK_TOUCH_PAGES, WK_TOUCH_ALL };
enum wk_unit {
    WK_UNIT_OPERATIONS, /* a malloc, free or realloc */
    WK_UNIT_LIVES,      /* threads started */
    WK_UNIT_OWN         /* whatever the kernel counts */
};
enum wk_loop {
    WK_LOOP_MALLOC, /* the process's malloc */
    WK_LOOP_BARE,   /* the loop alone: a moved pointer in place of malloc */
    WK_LOOP_CALLS   /* that with two calls of empty functions, one for malloc, one for free */
};
enum wk_stage_kind { WK_STEADY, WK_RAMP, WK_DRAIN };
enum wk_edge { WK_OPENS, WK_CLOSES };

/* What a kernel's parameter of that name may be, where it is a choice. */
enum wk_lifetime {
    WK_LIFETIME_SLOTS,
    WK_LIFETIME_LIFO,
    WK_LIFETIME_FIFO,
    WK_LIFETIME_GENERATIONAL
};
enum wk_handoff { WK_HANDOFF_NONE, WK_HANDOFF_SHARED, WK_HANDOFF_RING };
enum wk_consumers { WK_CONSUMERS_ALLOCATED_ONCE, WK_CONSUMERS_ONLY_FREE };
enum wk_first_object { WK_FIRST_OBJECT_OWN, WK_FIRST_OBJECT_MAIN };
enum wk_objects_of { WK_OBJECTS_OF_THREAD, WK_OBJECTS_OF_ALL };
enum wk_order { WK_ORDER_IN_ORDER, WK_ORDER_REVERSE, WK_ORDER_RANDOM };

struct wk_parameter {
    const char *name;
    double value;
};

struct wk_stage {
    int32_t kind;   /* enum wk_stage_kind */
    double seconds; /* how long it lasts; the list is repeated until the window ends */
};

struct wk_request {
    const char *kernel;
    uint32_t threads;
    double duration; /* seconds of the timed window */
    double warmup;   /* seconds before it */
    uint64_t seed;
    int32_t verify;            /* fill and check every block */
    uint32_t latency_every;    /* asked of wk_latency_every(); 0: none is timed */
    uint32_t chunk;            /* operations between two looks at the stop flag, at least 1 */
    uint64_t operation_limit;  /* a thread stops after this many operations; 0: none */
    uint64_t life;             /* operations in a thread's life before a successor; 0: for ever */
    uint32_t work;             /* rounds of arithmetic after each allocation */
    int32_t touch;             /* enum wk_touch */
    int32_t loop;              /* enum wk_loop */
    int32_t plain;             /* every entry of calls is WK_MALLOC */
    int32_t unit;              /* enum wk_unit: what is counted */
    const uint32_t *sizes;     /* WK_SIZES sizes in bytes */
    const uint8_t *calls;      /* WK_CALLS of enum wk_call */
    const uint8_t *alignments; /* WK_ALIGNMENTS base-two logarithms */
    const int32_t *affinity;   /* processor of thread i: affinity[i % affinity_count] */
    uint32_t affinity_count;   /* 0: not pinned */
    const struct wk_parameter *parameters;
    uint32_t parameter_count;
    const struct wk_stage *stages;
    uint32_t stage_count; /* 0: steady for ever */
    /* NULL, or called by the calling thread as the window opens and closes, while the workers run:
     * to read counters that belong to the window. Takes an enum wk_edge. */
    void (*at_edge)(int32_t edge);
};

/* A number that the machine may refuse to give. reason is empty where value holds. */
struct wk_counted {
    double value;
    char reason[WK_TEXT];
};

struct wk_sample {
    double seconds; /* since the window's start */
    uint64_t resident;
    int64_t live;
};

struct wk_stage_memory {
    int32_t kind;
    double start; /* seconds since the window's start */
    double end;
    uint64_t resident_peak;
    uint64_t resident_end;
    int64_t live_peak;
};

struct wk_violation {
    int32_t found_one; /* 0: none */
    uint32_t thread;
    uint64_t operation;
    uint64_t address;
    uint64_t found;
    uint64_t expected;
    char what[WK_TEXT];
};

struct wk_usage {
    double user, system; /* seconds */
    double voluntary, involuntary, minor_faults, major_faults;
};

struct wk_result {
    uint64_t operations;       /* units served in the window, all threads; no refused call is one */
    double elapsed;            /* seconds the window really took */
    uint32_t progressed;       /* threads that counted at least one unit in it */
    uint64_t *per_thread;      /* [threads], given by the caller */
    uint64_t *digests;         /* [threads], given by the caller: call and size of allocations */
    uint64_t *malloc_counts;   /* [WK_BUCKETS], given by the caller */
    uint64_t *free_counts;     /* [WK_BUCKETS], given by the caller */
    struct wk_sample *samples; /* [WK_SAMPLES], given by the caller */
    uint32_t sample_count;
    struct wk_stage_memory *stages; /* [WK_STAGES], given by the caller */
    uint32_t stage_count;
    uint64_t resident_before, resident_start, resident_peak, resident_end, resident_drained;
    uint64_t virtual_peak;
    int64_t live_peak;
    double live_mean;
    int64_t live_drained;   /* 0 unless the kernel lost or kept a block */
    uint32_t latency_every; /* one operation in this many was timed in the window */
    double timing_cost;     /* nanoseconds that timing an operation adds to it */
    struct wk_usage usage;
    struct wk_counted migrations, cycles, instructions, cache_misses, futex_calls;
    struct wk_counted run_delay; /* ns that threads waited for a processor, all of them */
    uint64_t total_operations;   /* of all threads, from the first fill to the last free */
    uint64_t failed_allocations; /* those of them that malloc refused */
    uint64_t failed_successors;  /* threads that could not be started when one ended */
    uint64_t lives;              /* threads started over the whole trial */
    uint64_t fallback_frees;     /* blocks meant for another thread, freed at home */
    uint64_t checked;            /* blocks whose pattern was compared */
    struct wk_violation violation;
    char error[WK_TEXT]; /* why nothing was measured */
};

/* Runs one trial. Returns 0, or -1 with result->error set and nothing measured. A violation is a
 * result, not an error. Every thread it started has ended when it returns. */
int wk_run(const struct wk_request *request, struct wk_result *result);

/* One operation in how many is timed: `asked`, doubled until timing, `timing_cost` nanoseconds an
 * operation timed, adds less than 1 % to operations of `operation_cost` nanoseconds. Below
 * WK_FINEST it is `asked`: who samples that finely wants the samples and bears the cost; likewise
 * where no cost is known (0). */
uint32_t wk_latency_every(uint32_t asked, double timing_cost, double operation_cost);

/* Names of the kernels, NULL after the last. */
const char *wk_kernel_name(uint32_t position);

/* Bytes between the counters of two neighbouring threads, and those one thread's counters take. */
uint64_t wk_counter_stride(void);

const char *wk_source_hash(void);
const char *wk_build_flags(void);

#endif
