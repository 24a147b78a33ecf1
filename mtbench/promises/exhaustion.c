/*
 * Refused system calls: the k-th mapping, or all from the k-th on. Callers get NULL with ENOMEM, no
 * block changes, nothing stays locked, and service resumes when the kernel gives again.
 *
 * Each k is met in a forked child that starts from the same state, so results repeat.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "inject.h"
#include "memory.h"
#include "pattern.h"
#include "process.h"
#include "team.h"

/* PATIENCE_S: seconds after which a child hangs; on a busy machine some mallocs need many. */
enum { SLOTS = 96, LAST_K = 200, PATIENCE_S = 45 };

static size_t other_than_enomem;

static void note_refusal(void) {
    if (errno != ENOMEM) {
        other_than_enomem++;
    }
}

/* A little of everything; what is refused stays empty or as it was. */
static void churn(struct block *slots, size_t rounds, uint64_t *random) {
    for (size_t round = 0; round < rounds; round++) {
        struct block *block = &slots[random_below(random, SLOTS)];
        size_t limit = round % 4 == 0 ? 3 * MIB : 40 * KIB;
        size_t bytes = block_size_draw(random, limit);
        if (block->at != NULL && random_below(random, 3) == 0) {
            if (!block_try_resize(block, bytes, 1)) {
                note_refusal();
            }
            continue;
        }
        block_drop(block);
        if (!block_try(block, (enum kind)random_below(random, KINDS), bytes, 1)) {
            note_refusal();
        }
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].at != NULL) {
            block_check(&slots[i]);
        }
    }
}

static void drop_all(struct block *slots) {
    for (size_t i = 0; i < SLOTS; i++) {
        block_drop(&slots[i]);
    }
}

/* After the refusals: every size of every kind is served again. */
static void service_resumes(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t bytes = 1; bytes < (size_t)6 * MIB; bytes = bytes * 7 + 3) {
            struct block block;
            block_take(&block, (enum kind)kind, bytes, 3);
            block_drop(&block);
        }
    }
}

struct trial {
    unsigned calls;
    size_t k;
    void (*begin)(unsigned, size_t);
};

/* In one process, so that the count of wrong verdicts is at hand. */
static void enomem_always(void) {
    inject_begin();
    struct block slots[SLOTS] = {0};
    uint64_t random = 1;
    for (size_t k = 1; k <= 40; k++) {
        inject_from(REFUSE_ALL, k);
        churn(slots, 150, &random);
        inject_stop();
        drop_all(slots);
        REQUIRE(other_than_enomem == 0, "%zu refusals with another errno than ENOMEM",
                other_than_enomem);
    }
}

static void *first_allocations(void *argument) {
    struct block *block = argument;
    block_try(block, BY_MALLOC, 600, 2);
    return NULL;
}

/* A thread may fail to start; if it starts, its first allocation is refused or right. */
static void try_thread(void) {
    struct block block = {0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, first_allocations, &block) == 0) {
        pthread_join(thread, NULL);
    }
    block_drop(&block);
}

/* A block that is mapped by itself, or NULL, grows and goes. Its ends alone are written and
 * checked, as whole patterns of this size would take seconds. */
static void grow_and_free(unsigned char *block, size_t bytes, size_t end, uint64_t salt) {
    if (block == NULL) {
        return;
    }
    uint64_t key = pattern_key(block, bytes, salt);
    pattern_fill(block, end, key);
    pattern_fill(block + bytes - end, end, key);
    unsigned char *moved = heap.realloc(block, 2 * bytes);
    unsigned char *live = moved == NULL ? block : moved;
    REQUIRE(pattern_check(live, end, key) == end &&
                pattern_check(live + bytes - end, end, key) == end,
            "realloc of %zu MiB, %s, changed the block", bytes / MIB,
            moved == NULL ? "refused" : "served");
    heap.free(live);
}

/* Blocks that most allocators map one by one: they meet mmap, mremap and munmap. */
static void huge_churn(size_t rounds) {
    for (size_t round = 0; round < rounds; round++) {
        size_t bytes = (33 + 16 * round) * MIB;
        unsigned char *block = round % 3 == 2 ? heap.memalign(MIB, bytes) : heap.malloc(bytes);
        grow_and_free(block, bytes, 4096, 4);
    }
}

static void trial_run(void *argument) {
    const struct trial *trial = argument;
    struct block slots[SLOTS] = {0};
    uint64_t random = trial->k;
    trial->begin(trial->calls, trial->k);
    churn(slots, 150, &random);
    try_thread();
    huge_churn(8);
    churn(slots, 50, &random);
    inject_stop();
    huge_churn(2);
    churn(slots, 50, &random);
    drop_all(slots);
    service_resumes();
    thread_join(thread_start(first_allocations, &slots[0]));
    block_drop(&slots[0]);
}

/* Refusals in one child for each k up to 200 (under --quick, for some of them), as long as the
 * child makes so many calls. */
struct tally {
    size_t processes, refusals, last;
};

static struct tally for_every_k(unsigned calls, void (*begin)(unsigned, size_t), const char *what) {
    struct tally tally = {0, 0, 0};
    for (size_t k = 1; k <= LAST_K; k += k < 10 ? 1 : effort(1, 19)) {
        struct trial trial = {calls, k, begin};
        char name[96];
        snprintf(name, sizeof name, "%s call %zu of %s refused", what, k, inject_name(calls));
        child_run(trial_run, &trial, PATIENCE_S, name);
        tally.processes++;
        tally.refusals += inject_refused();
        if (inject_seen() < k) {
            break;
        }
        tally.last = k;
    }
    return tally;
}

/* Up to so many rounds a child: enough for the 200th call of a kind that an allocator makes once in
 * two rounds. */
enum { STEADY_ROUNDS = 420 };

static void steady_mapping(size_t round) {
    size_t bytes = (34 + round % 7) * (size_t)MIB;
    grow_and_free(heap.malloc(bytes), bytes, 64, 5);
}

/* Pages that are given back. */
static void steady_pages(void) {
    unsigned char *pages = heap.malloc((size_t)3 * MIB);
    if (pages != NULL) {
        memset(pages, 1, 64 * KIB);
    }
    heap.free(pages);
    heap.malloc_trim(0);
}

/* What the round is made of follows from the call that is refused; what stays makes an allocator
 * that reserves addresses ask for more to be made usable. */
static void steady_round(unsigned calls, size_t round, void **staying) {
    if (calls & (REFUSE_MMAP | REFUSE_MREMAP | REFUSE_MUNMAP)) {
        steady_mapping(round);
    }
    if (calls & REFUSE_MADVISE) {
        steady_pages();
    }
    if (calls & REFUSE_MPROTECT) {
        *staying = heap.malloc((size_t)20 * MIB);
    }
}

static void steady_run(void *argument) {
    const struct trial *trial = argument;
    void *staying[STEADY_ROUNDS] = {0};
    struct block slots[8];
    for (size_t i = 0; i < 8; i++) {
        block_take(&slots[i], (enum kind)(i % KINDS), (size_t)1000 << i, 1);
    }
    trial->begin(trial->calls, trial->k);
    for (size_t round = 0; round < STEADY_ROUNDS && inject_seen() <= trial->k; round++) {
        steady_round(trial->calls, round, &staying[round]);
    }
    inject_stop();
    for (size_t i = 0; i < STEADY_ROUNDS; i++) {
        heap.free(staying[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        block_drop(&slots[i]);
    }
    for (size_t bytes = 1; bytes < (size_t)64 * MIB; bytes = bytes * 21 + 3) {
        void *again = heap.malloc(bytes);
        REQUIRE(again != NULL, "malloc(%zu) = NULL though memory is there again", bytes);
        heap.free(again);
    }
}

/* Every single k up to 200 (under --quick one in seven), by work that makes so many of these calls.
 */
static struct tally each_k_once(unsigned calls) {
    struct tally tally = {0, 0, 0};
    for (size_t k = effort(1, 4); k <= LAST_K; k += effort(1, 7)) {
        struct trial trial = {calls, k, inject_kth};
        char name[96];
        snprintf(name, sizeof name, "steady work, call %zu of %s refused", k, inject_name(calls));
        child_run(steady_run, &trial, PATIENCE_S, name);
        if (inject_refused() == 0) {
            break;
        }
        tally.processes++;
        tally.refusals += inject_refused();
        tally.last = k;
    }
    return tally;
}

static void kth(unsigned calls) {
    inject_begin();
    struct tally mixed = for_every_k(calls, inject_kth, "only");
    struct tally steady = each_k_once(calls);
    size_t last = steady.last > mixed.last ? steady.last : mixed.last;
    remark("%zu refused calls survived in %zu processes, each k up to %zu%s",
           mixed.refusals + steady.refusals, mixed.processes + steady.processes, last,
           last < LAST_K ? " (the work makes no more such calls)" : "");
}

static void from(unsigned calls) {
    inject_begin();
    struct tally tally = for_every_k(calls, inject_from, "all from");
    remark("%zu refused calls survived in %zu processes", tally.refusals, tally.processes);
}

#define EVERY_K(NAME, CALLS)                                                                       \
    static void NAME##_kth(void) {                                                                 \
        kth(CALLS);                                                                                \
    }                                                                                              \
    static void NAME##_from(void) {                                                                \
        from(CALLS);                                                                               \
    }

EVERY_K(mmap, REFUSE_MMAP)
EVERY_K(munmap, REFUSE_MUNMAP)
EVERY_K(madvise, REFUSE_MADVISE)
EVERY_K(mprotect, REFUSE_MPROTECT)
EVERY_K(mremap, REFUSE_MREMAP)
EVERY_K(every, REFUSE_ALL)

/* Address space and resident memory after many faulty rounds, against after a few. */
static void nothing_lost(unsigned calls) {
    inject_begin();
    struct block slots[SLOTS] = {0};
    uint64_t random = 1;
    size_t rounds = effort(120, 60), settled = 0, settled_resident = 0;
    for (size_t round = 0; round < rounds; round++) {
        inject_kth(calls, 1 + round % 12);
        churn(slots, 150, &random);
        inject_stop();
        drop_all(slots);
        heap.malloc_trim(0);
        if (round == rounds / 3) {
            settled = memory_virtual();
            settled_resident = memory_resident();
        }
    }
    size_t grown = memory_virtual() - settled, resident = memory_resident() - settled_resident;
    REQUIRE((long)grown < 64L * MIB, "%zu rounds with a refused call lost %zu MiB of addresses",
            rounds - rounds / 3, grown / MIB);
    REQUIRE((long)resident < 32L * MIB, "%zu rounds with a refused call lost %zu MiB of memory",
            rounds - rounds / 3, resident / MIB);
}

static void mmap_lost(void) {
    nothing_lost(REFUSE_MMAP | REFUSE_MPROTECT | REFUSE_MREMAP);
}

static void munmap_lost(void) {
    nothing_lost(REFUSE_MUNMAP | REFUSE_MADVISE);
}

static void thread_churn(size_t index, void *argument) {
    struct block *slots = memory_pages(SLOTS * sizeof *slots);
    uint64_t random = index + 1;
    (void)argument;
    for (size_t round = 0; round < effort(30, 10); round++) {
        churn(slots, 60, &random);
        if (index == 0) {
            inject_from(REFUSE_ALL, 1 + round * 3);
        }
        churn(slots, 60, &random);
        if (index == 0) {
            inject_stop();
        }
    }
    drop_all(slots);
}

static void in_threads(void) {
    inject_begin();
    /* Stacks and tables are mapped before the first refusal: the start barrier sees to it. */
    for (size_t round = 0; round < 3; round++) {
        team_run(8, thread_churn, NULL);
        inject_stop();
        service_resumes();
    }
}

/* Threads started and ended while everything is refused now and then. */
static void thread_starts(void) {
    inject_begin();
    for (size_t i = 0; i < effort(400, 150); i++) {
        inject_kth(REFUSE_ALL, 1 + i % 14);
        try_thread();
        try_thread();
        inject_stop();
        struct block block = {0};
        thread_join(thread_start(first_allocations, &block));
        REQUIRE(block.at != NULL, "a new thread is refused though memory is there again");
        block_drop(&block);
    }
}

/* Tiny blocks until nothing more: NULL in the middle of a refill. */
static void refill_and_registry(size_t bytes, size_t most) {
    struct block *blocks = memory_pages(most * sizeof *blocks);
    size_t count = 0;
    while (count < 500) {
        block_take(&blocks[count++], BY_MALLOC, bytes, 1);
    }
    inject_from(REFUSE_ALL, 1);
    while (count < most && block_try(&blocks[count], BY_MALLOC, bytes, 1)) {
        count++;
    }
    size_t when_full = count;
    for (int i = 0; i < 100; i++) { /* refused again and again: nothing may be left locked */
        struct block extra;
        if (block_try(&extra, BY_MALLOC, bytes, 1)) {
            block_drop(&extra);
        }
    }
    inject_stop();
    while (count < when_full + 500 && count < most) {
        block_take(&blocks[count++], BY_MALLOC, bytes, 1);
    }
    for (size_t i = 0; i < count; i++) {
        block_drop(&blocks[i]);
    }
}

static void in_refill(void) {
    inject_begin();
    refill_and_registry(40, 4000000);
    refill_and_registry(1000, 400000);
    refill_and_registry(6000, 80000);
}

static void in_growth(void) {
    inject_begin();
    refill_and_registry(40000, 12000);
    refill_and_registry(300000, 2500);
    refill_and_registry(2000000, 700);
}

static void forked_child(void *argument) {
    struct trial trial = {REFUSE_ALL, (size_t)(uintptr_t)argument, inject_from};
    trial_run(&trial);
}

static void fork_while_refused(void) {
    inject_begin();
    struct block slots[SLOTS] = {0};
    uint64_t random = 1;
    for (size_t i = 0; i < effort(60, 20); i++) {
        inject_from(REFUSE_ALL, 1 + i % 5);
        churn(slots, 60, &random);
        child_run(forked_child, (void *)(i % 7 + 1), PATIENCE_S, "the child of a starved process");
        inject_stop();
    }
    drop_all(slots);
    service_resumes();
}

static const struct probe rows[] = {
    ROW("mmap-kth", "the k-th mmap refused, every k to 200", mmap_kth, SLOW),
    ROW("mmap-from", "every mmap refused from the k-th on", mmap_from, SLOW),
    ROW("munmap-kth", "the k-th munmap refused, every k to 200", munmap_kth, SLOW),
    ROW("munmap-from", "every munmap refused from the k-th on", munmap_from, SLOW),
    ROW("madvise-kth", "the k-th madvise refused, every k to 200", madvise_kth, SLOW),
    ROW("madvise-from", "every madvise refused from the k-th on", madvise_from, SLOW),
    ROW("mprotect-kth", "the k-th mprotect refused, every k to 200", mprotect_kth, SLOW),
    ROW("mprotect-from", "every mprotect refused from the k-th on", mprotect_from, SLOW),
    ROW("mremap-kth", "the k-th mremap refused, every k to 200", mremap_kth, SLOW),
    ROW("mremap-from", "every mremap refused from the k-th on", mremap_from, SLOW),
    ROW("all-kth", "the k-th memory call of any kind refused, every k to 200", every_kth, SLOW),
    ROW("all-from", "every memory call refused from the k-th on", every_from, SLOW),
    ROW("enomem", "whatever is refused inside, the caller gets ENOMEM", enomem_always, QUICK),
    ROW("mmap-loss", "refused mappings lose no memory for good", mmap_lost, SLOW),
    ROW("munmap-loss", "refused munmap and madvise lose no memory for good", munmap_lost, SLOW),
    ROW("threads", "eight threads are refused at once, and served again", in_threads, SLOW),
    ROW("thread-start", "refusal in a thread's start and first allocation", thread_starts, SLOW),
    ROW("refill", "refusal in the middle of a refill of small blocks", in_refill, SLOW),
    ROW("growth", "refusal while large blocks and their registry grow", in_growth, SLOW),
    ROW("fork", "fork of a process that is being refused", fork_while_refused, SLOW),
};

const struct area exhaustion_area = AREA("exhaustion", rows);
