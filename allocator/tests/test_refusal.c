/* refusal: the kernel says no to the k-th call for memory, or to all from there on. Callers get
 * NULL and ENOMEM, no block changes, and when memory is back so is the service. */
#include "crew.h"
#include "hakmem.h"
#include "parcel.h"
#include "refuse.h"

#define HELD 60

/* Fills and checks the ends of a block only, so that large ones are cheap. */
struct holding {
    struct parcel front;
    size_t size;
};

static size_t any_size(unsigned long long *state) {
    unsigned long long r = check_random(state);
    switch (r % 12) {
    case 0:
        return ((size_t)33 << 20) + (r >> 8) % 100000;
    case 1:
        return ((size_t)1 << 20) + (r >> 8) % 5000000;
    case 2:
    case 3:
        return 32769 + (r >> 8) % 900000;
    default:
        return (r >> 8) % 32769;
    }
}

static bool hold(struct holding *holding, size_t size, uint32_t owner, uint32_t generation) {
    errno = 0;
    void *block =
        generation % 3 == 0 ? hak_memalign((size_t)64 << generation % 12, size) : hak_malloc(size);
    CHECK(block != NULL || errno == ENOMEM);
    *holding = (struct holding){{block, size < 4000 ? size : 4000, owner, generation}, size};
    if (block != NULL) {
        parcel_fill(&holding->front);
    }
    return block != NULL;
}

static void resize(struct holding *holding, size_t size) {
    errno = 0;
    unsigned char *moved = hak_realloc(holding->front.block, size + 1);
    if (moved == NULL) {
        CHECK_EQUAL(errno, ENOMEM);
        parcel_check(&holding->front);
        return;
    }
    size_t kept = holding->front.size < size ? holding->front.size : size;
    parcel_check_at(&holding->front, moved, kept);
    holding->front.block = moved;
    holding->front.size = size < 4000 ? size : 4000;
    holding->size = size;
    parcel_fill(&holding->front);
}

static void end(struct holding *holding) {
    errno = 4321;
    parcel_end(&holding->front);
    CHECK_EQUAL(errno, 4321);
}

/* A piece of a program's life; says how many requests were refused. */
static int live(uint32_t seed, int steps) {
    struct holding held[HELD] = {{{0}, 0}};
    unsigned long long state = seed * 2654435761u + 1;
    int refused = 0;
    for (uint32_t step = 0; step < (uint32_t)steps; step++) {
        struct holding *holding = &held[check_random(&state) % HELD];
        if (holding->front.block == NULL) {
            refused += !hold(holding, any_size(&state), seed, step);
        } else if (step % 5 == 0) {
            resize(holding, any_size(&state));
        } else {
            end(holding);
        }
        if (step % 97 == 96) {
            hak_trim();
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].front.block != NULL) {
            end(&held[i]);
        }
    }
    return refused;
}

static void recover(void) {
    refuse_end();
    CHECK_EQUAL(live(1, 300), 0);
    hak_trim();
}

static const enum refuse_call calls[] = {CALL_MMAP,    CALL_MUNMAP, CALL_MPROTECT,
                                         CALL_MADVISE, CALL_MREMAP, CALL_ANY};

PROMISE(any_single_refusal_is_survived) {
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (long k = 1; k <= 60; k += k < 12 ? 1 : 7) {
            refuse_begin(calls[i], k, k);
            live((uint32_t)k, 250);
        }
        recover();
    }
}

PROMISE(refusals_from_any_call_on_are_survived_and_then_recovered_from) {
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (long k = 1; k <= 60; k += k < 12 ? 2 : 13) {
            refuse_begin(calls[i], k, 1000000);
            live((uint32_t)k + 50, 250);
            recover();
        }
    }
}

PROMISE(memory_in_use_is_the_same_after_refusals_as_before) {
    static struct hak_stats before, after;
    recover();
    CHECK(hak_stats(&before, sizeof before) == 0);
    for (long k = 1; k < 10; k++) {
        refuse_begin(CALL_ANY, k, 1000000);
        live((uint32_t)k + 500, 250);
        refuse_end();
    }
    CHECK(hak_stats(&after, sizeof after) == 0);
    for (uint32_t i = 0; i < after.box_count; i++) {
        CHECK_EQUAL(after.box[i].bytes_in_use, before.box[i].bytes_in_use);
    }
}

static void live_in_thread(int index) {
    live((uint32_t)index + 1000, 150);
}

PROMISE(threads_that_are_refused_together_from_their_first_allocation_on_survive) {
    for (long k = 1; k <= 40; k += 6) {
        refuse_begin(CALL_ANY, k, k % 4 == 1 ? 1000000 : k + 20);
        /* The threads themselves come from libc, which is not refused. */
        crew_run(6, live_in_thread);
        recover();
    }
}
