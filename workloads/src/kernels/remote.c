/* Each thread passes a share of its blocks through a ring to the next thread, which frees them;
 * where the ring is full the block is freed at home and counted as a fallback. */
#include "ring.h"

struct remote {
    struct ring *rings;
    uint32_t threshold; /* of 65536: the share that is passed on */
};

static bool prepare(struct run *run) {
    struct remote *remote = run_take(run, sizeof *remote);
    if (remote == NULL) {
        return false;
    }
    run->shared = remote;
    remote->threshold = (uint32_t)(run_parameter(run, "share") * 65536);
    remote->rings = rings_take(run, run_parameter(run, "ring"));
    return remote->rings != NULL;
}

static void general(struct worker *worker, uint64_t count) {
    struct run *run = worker->run;
    struct remote *remote = run->shared;
    struct ring *inbox = &remote->rings[worker->index];
    struct ring *outbox = &remote->rings[ring_next(worker)];
    for (; count && !run_stopping(run); count--) {
        ring_release_all(worker, inbox);
        struct block block = block_make(worker);
        if (block.address == NULL) {
            continue;
        }
        if (random_below(&worker->random, 65536) < remote->threshold) {
            if (ring_put(outbox, block)) {
                continue;
            }
            worker->fallback++;
        }
        block_release(worker, &block, worker->index);
    }
}

static void drain(struct worker *worker) {
    struct remote *remote = worker->run->shared;
    ring_release_unshown(worker, &remote->rings[ring_next(worker)]);
    ring_release_all(worker, &remote->rings[worker->index]);
}

const struct kernel kernel_remote = {
    .name = "remote", .prepare = prepare, .general = general, .drain = drain, .step_operations = 2};
