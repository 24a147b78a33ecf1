/* What a loop costs without an allocator, to set beside the null allocator's cost. */
#include <string.h>

#include "clock.h"
#include "quick.h"

char quick_bare_buffer[2 * BARE_BYTES] __attribute__((aligned(64)));

enum { BATCH_STEPS = 1 << 18, BATCHES = 24 };

double wk_bare_cost(const char *shape, const struct wk_request *request) {
    struct wk_result result;
    memset(&result, 0, sizeof result);
    struct run run;
    memset(&run, 0, sizeof run);
    run.request = request;
    run.result = &result;
    run.threads = 1;
    run.kernel = kernel_named(shape);
    double least = -1;
    run.workers = pages_take(&run.pages, sizeof *run.workers);
    if (run.kernel && run.kernel->bare && run.workers && run.kernel->prepare(&run)) {
        struct worker *worker = run.workers;
        worker->run = &run;
        worker->random = random_split(request->seed, 0);
        worker->stride = 1;
        steps *loop = run.kernel->bare(&run);
        for (int batch = 0; batch < BATCHES; batch++) {
            uint64_t operations = worker->operations, start = clock_nanoseconds();
            for (int left = BATCH_STEPS; left > 0; left -= (int)request->chunk)
                loop(worker, request->chunk);
            double cost =
                (double)(clock_nanoseconds() - start) / (double)(worker->operations - operations);
            /* The least of many: whatever else the machine does can only add. */
            if (least < 0 || cost < least)
                least = cost;
        }
    }
    pages_return(&run.pages);
    return least;
}
