/* The engine's own promises, without Python. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "verify.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t sizes[WK_SIZES];
static uint8_t calls[WK_CALLS], alignments[WK_ALIGNMENTS];
static struct wk_parameter parameters[] = {
    {"slots", 64},
    {"total_slots", 100},
    {"share", 0.5},
    {"long_lived", 0.2},
    {"lifetime", WK_LIFETIME_GENERATIONAL},
    {"handoff", WK_HANDOFF_RING},
    {"ring", 64},
    {"batch", 100},
    {"queue", 3},
    {"producers", 0.5},
    {"blocks", 100},
    {"writes", 4},
    {"objects", 100},
    {"objects_of", WK_OBJECTS_OF_THREAD},
    {"order", WK_ORDER_RANDOM},
    {"limit", 100000},
    {"first_object", WK_FIRST_OBJECT_MAIN},
    {"consumers", WK_CONSUMERS_ALLOCATED_ONCE},
};

static struct wk_request request_for(const char *kernel, uint32_t threads) {
    struct wk_request request;
    memset(&request, 0, sizeof request);
    request.kernel = kernel;
    request.threads = threads;
    request.duration = 0.02;
    request.seed = 7;
    request.latency_every = 16;
    request.chunk = 8;
    request.touch = WK_TOUCH_FIRST;
    request.plain = 1;
    request.sizes = sizes;
    request.calls = calls;
    request.alignments = alignments;
    request.parameters = parameters;
    request.parameter_count = sizeof parameters / sizeof parameters[0];
    return request;
}

struct buffers {
    uint64_t per_thread[256], digests[256], mallocs[WK_BUCKETS], frees[WK_BUCKETS];
    struct wk_sample samples[WK_SAMPLES];
    struct wk_stage_memory stages[WK_STAGES];
};
static struct buffers buffers;

static struct wk_result run_once(const struct wk_request *request) {
    struct wk_result result;
    memset(&result, 0, sizeof result);
    memset(&buffers, 0, sizeof buffers);
    result.per_thread = buffers.per_thread;
    result.digests = buffers.digests;
    result.malloc_counts = buffers.mallocs;
    result.free_counts = buffers.frees;
    result.samples = buffers.samples;
    result.stages = buffers.stages;
    CHECK(wk_run(request, &result) == 0);
    return result;
}

/* On a busy machine a short window may pass without any thread having run: longer then. */
static struct wk_result run_of(const struct wk_request *request) {
    struct wk_request patient = *request;
    for (int attempt = 0; attempt < 8; attempt++, patient.duration *= 2) {
        struct wk_result result = run_once(&patient);
        if (result.operations) {
            return result;
        }
    }
    fprintf(stderr, "%s: no operation in %g s\n", request->kernel, patient.duration / 2);
    exit(1);
}

static void every_kernel_frees_what_it_allocated(void) {
    for (uint32_t i = 0; wk_kernel_name(i) != NULL; i++) {
        for (int32_t verify = 0; verify < 2; verify++) {
            for (uint32_t threads = 1; threads <= 3; threads += 2) {
                struct wk_request request = request_for(wk_kernel_name(i), threads);
                request.verify = verify;
                struct wk_result result = run_of(&request);
                CHECK(result.live_drained == 0);
                CHECK(!result.violation.found_one);
                CHECK(!verify || result.checked > 0);
            }
        }
    }
}

/* So much work, however long it takes: a thread ends with its last operation. */
static void successors_take_over(void) {
    struct wk_request request = request_for("replace", 3);
    request.life = 64;
    request.operation_limit = 256;
    request.duration = 60;
    request.verify = 1;
    struct wk_result result = run_once(&request);
    CHECK(result.lives >= 3 * 3);
    CHECK(result.live_drained == 0);
}

static void stages_fill_and_empty_every_kernel(void) {
    struct wk_stage stages[] = {
        {WK_RAMP, 0.004}, {WK_STEADY, 0.004}, {WK_RAMP, 0.004}, {WK_DRAIN, 0.004}};
    for (uint32_t i = 0; wk_kernel_name(i) != NULL; i++) {
        struct wk_request request = request_for(wk_kernel_name(i), 3);
        request.duration = 0.06;
        request.verify = 1;
        request.stages = stages;
        request.stage_count = 4;
        struct wk_result result = run_of(&request);
        CHECK(result.stage_count >= 1);
        CHECK(!result.violation.found_one);
        CHECK(result.live_drained == 0);
    }
}

static void more_threads_than_any_fixed_table(void) {
    struct wk_request request = request_for("exchange", 256);
    struct wk_result result = run_of(&request);
    CHECK(result.live_drained == 0);
}

static int32_t edges[4];
static uint32_t edges_seen;

static void note_edge(int32_t edge) {
    edges[edges_seen++ % 4] = edge;
}

static void edges_of_the_window_are_told_once_each(void) {
    struct wk_request request = request_for("exchange", 2);
    request.at_edge = note_edge;
    run_once(&request);
    CHECK(edges_seen == 2);
    CHECK(edges[0] == WK_OPENS && edges[1] == WK_CLOSES);
}

static void unknown_kernel_is_refused(void) {
    struct wk_request request = request_for("nothing", 1);
    struct wk_result result;
    memset(&result, 0, sizeof result);
    CHECK(wk_run(&request, &result) == -1);
    CHECK(strstr(result.error, "nothing") != NULL);
}

static void buckets_are_at_most_three_percent_wide(void) {
    uint32_t last = 0;
    for (uint64_t value = 1; value < (uint64_t)1 << 39; value += 1 + value / 1000) {
        uint32_t bucket = histogram_bucket(value);
        CHECK(bucket == last || bucket == last + 1);
        if (value > 64) {
            CHECK(histogram_bucket(value + value * 3 / 100 + 1) > bucket);
        }
        last = bucket;
    }
    CHECK(histogram_bucket(UINT64_MAX) == WK_BUCKETS - 1);
}

static void counters_of_two_threads_share_no_line(void) {
    CHECK(wk_counter_stride() % 128 == 0);
    CHECK(sizeof(struct worker) - offsetof(struct worker, published_units) >= 128);
}

/* The hot loop and the general loop must draw the same stream, or sampling would change it. */
static void hot_loop_and_general_loop_issue_one_stream(const char *name) {
    struct run runs[2];
    struct worker *workers[2];
    struct wk_request request = request_for(name, 1);
    static struct wk_result results[2];
    for (int i = 0; i < 2; i++) {
        struct run *run = &runs[i];
        memset(run, 0, sizeof *run);
        run->request = &request;
        run->result = &results[i];
        run->kernel = kernel_named(name);
        run->threads = 1;
        workers[i] = run->workers = run_take(run, sizeof *run->workers);
        workers[i]->run = run;
        workers[i]->random = random_split(9, 0);
        workers[i]->order = 5;
        workers[i]->until_timed = UINT64_MAX;
        CHECK(run->kernel->prepare(run));
        run->kernel->fill(workers[i]);
    }
    runs[0].kernel->fast (&runs[0])(workers[0], 10000);
    runs[1].kernel->general(workers[1], 10000);
    CHECK(workers[0]->random.low == workers[1]->random.low);
    CHECK(workers[0]->cursor == workers[1]->cursor);
    CHECK(workers[0]->live == workers[1]->live);
    CHECK(workers[0]->operations == workers[1]->operations);
    for (int i = 0; i < 2; i++) {
        runs[i].kernel->drain(workers[i]);
        CHECK(workers[i]->live == 0);
        pages_return(&runs[i].pages);
    }
}

/* One changed byte anywhere, another owner, size or address: each breaks the pattern. */
static void pattern_tells_owner_address_and_size(void) {
    static char memory[4096];
    struct wk_request request = request_for("replace", 3);
    request.verify = 1;
    for (uint32_t size = 1; size < 300; size++) {
        for (int fault = 0; fault < 6; fault++) {
            struct wk_result result;
            memset(&result, 0, sizeof result);
            struct run run = {.request = &request, .result = &result, .threads = 3};
            pthread_mutex_init(&run.lock, NULL);
            pthread_cond_init(&run.changed, NULL);
            struct worker writer = {.run = &run, .index = 1};
            struct block block = {memory + 16, size, 0};
            verify_fill(&writer, &block);
            uint32_t owner = 1;
            if (fault == 1) {
                memory[16 + random_scatter(size) % size] ^= 0x40;
            }
            if (fault == 2) {
                owner = 0;
            }
            if (fault == 3) {
                block.size = size + 8; /* found longer than it was filled */
            }
            if (fault == 4) {
                verify_mark_released(&block);
            }
            if (fault == 5) {
                owner = ANYONE;
            }
            bool good = block_check(&writer, &block, owner);
            CHECK(good == (fault == 0 || fault == 5));
            CHECK(result.violation.found_one == !good);
        }
    }
}

int main(void) {
    for (uint32_t i = 0; i < WK_SIZES; i++) {
        sizes[i] = 1 + (uint32_t)(random_scatter(i) % 2000);
    }
    memset(alignments, 6, sizeof alignments);
    buckets_are_at_most_three_percent_wide();
    counters_of_two_threads_share_no_line();
    pattern_tells_owner_address_and_size();
    edges_of_the_window_are_told_once_each();
    unknown_kernel_is_refused();
    hot_loop_and_general_loop_issue_one_stream("toggle");
    hot_loop_and_general_loop_issue_one_stream("replace");
    hot_loop_and_general_loop_issue_one_stream("exchange");
    every_kernel_frees_what_it_allocated();
    successors_take_over();
    stages_fill_and_empty_every_kernel();
    more_threads_than_any_fixed_table();
    return 0;
}
