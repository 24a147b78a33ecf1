/* One small object per thread, written many times, freed and taken again. An allocator that gives
 * two threads objects of one cache line makes them wait for each other at every write. In the
 * passive variant the coordinator allocates the first objects, side by side; an allocator that
 * lets a thread keep what it freed keeps them side by side. Counts writes. */
#include "block.h"
#include "verify.h"

struct writer {
    struct block object;
    char *inherited; /* made by the coordinator, not yet the worker's */
    _Alignas(APART) char end[];
};

struct false_sharing {
    uint64_t writes;
};

static bool prepare(struct run *run) {
    struct false_sharing *shared = run_take(run, sizeof *shared);
    struct writer *writers = run_take(run, run->threads * sizeof *writers);
    if (shared == NULL || writers == NULL) {
        return false;
    }
    run->shared = shared;
    shared->writes = (uint64_t)run_parameter(run, "writes");
    bool passive = run_parameter(run, "first_object") == WK_FIRST_OBJECT_MAIN;
    for (uint32_t i = 0; i < run->threads; i++) {
        run->workers[i].state = &writers[i];
        writers[i].inherited = passive ? malloc(run->request->sizes[0]) : NULL;
        if (passive && writers[i].inherited == NULL) {
            return run_refuse(run, "malloc refused the first object of thread %u", i + 1);
        }
    }
    return true;
}

static void inherit(struct worker *worker) {
    struct writer *writer = worker->state;
    if (writer->inherited == NULL) {
        return;
    }
    writer->object = (struct block){writer->inherited, worker->run->request->sizes[0], 0};
    writer->inherited = NULL;
    worker->live += writer->object.size;
    if (worker->run->request->verify) {
        verify_fill(worker, &writer->object);
    }
}

static void write_often(struct worker *worker, struct block *object, uint64_t writes) {
    if (object->address == NULL) {
        return;
    }
    if (!worker->run->request->verify) {
        for (uint64_t i = 0; i < writes; i++) { /* a read and a write, neither dropped nor merged */
            ++*(volatile unsigned char *)object->address;
        }
    } else {
        for (uint64_t i = 0; i < writes && block_check(worker, object, worker->index); i++) {
            verify_fill(worker, object);
        }
    }
    worker->units += writes;
}

static void general(struct worker *worker, uint64_t count) {
    struct writer *writer = worker->state;
    uint64_t writes = ((struct false_sharing *)worker->run->shared)->writes;
    for (; count && !run_stopping(worker->run); count--) {
        if (writer->object.address == NULL) {
            writer->object = block_make(worker);
        }
        write_often(worker, &writer->object, writes);
        block_release(worker, &writer->object, worker->index);
    }
}

static void drain(struct worker *worker) {
    struct writer *writer = worker->state;
    block_release(worker, &writer->object, worker->index);
}

const struct kernel kernel_false_sharing = {.name = "false_sharing",
                                            .prepare = prepare,
                                            .fill = inherit,
                                            .general = general,
                                            .drain = drain,
                                            .step_operations = 2};
