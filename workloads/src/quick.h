/* malloc and free of the hot loops: nothing but the call, the accounts and a touch that the
 * compiler knows. A loop is written once, as an always-inline function of (touch, source), and
 * QUICK_VARIANTS makes its copies.
 *
 * The loop that replaces is bound by its five taken branches per step (a test, two calls, two
 * returns), not by its instructions: calls of two empty functions alone cost it half as much
 * again. -fno-plt saves two more. */
#ifndef WORKLOADS_QUICK_H
#define WORKLOADS_QUICK_H

#include "block.h"

enum source {
    PROCESS_MALLOC, /* the process's malloc and free */
    BARE_BUMP,      /* a pointer moved through a small buffer: what the loop itself costs */
    BARE_CALLS      /* the same beside calls of two empty functions: what any malloc costs */
};

enum { BARE_BYTES = 1 << 16 };
extern char quick_bare_buffer[BARE_BYTES + APART];

/* Called through memory, as functions of other libraries are. */
struct empty_calls {
    void (*make)(uint64_t size);
    void (*release)(void *address);
};
extern const volatile struct empty_calls quick_empty;

/* What a loop keeps in registers while it runs. */
struct quick {
    struct random random;
    const uint32_t *sizes;
    int64_t live;
    uint64_t failed, bumped;
    uint32_t cursor, order;
};

static ALWAYS_INLINE struct quick quick_begin(const struct worker *worker) {
    return (struct quick){.random = worker->random,
                          .sizes = worker->run->request->sizes,
                          .live = worker->live,
                          .cursor = worker->cursor,
                          .order = worker->order};
}

static ALWAYS_INLINE void quick_end(struct worker *worker, const struct quick *quick,
                                    uint64_t operations) {
    worker->random = quick->random;
    worker->live = quick->live;
    worker->failed += quick->failed;
    worker->cursor = quick->cursor;
    worker->operations += operations;
}

/* A block of the next size, its place in the table to *place. NULL: failed, and counted. The size
 * is as wide as malloc's, or the loop would keep both widths over the call. */
static ALWAYS_INLINE char *quick_make(struct quick *quick, uint64_t *size, uint32_t *place,
                                      const enum wk_touch touch, const enum source source) {
    *place = size_place(quick->cursor++, quick->order);
    *size = quick->sizes[*place];
    char *address;
    if (source == PROCESS_MALLOC) {
        address = malloc(*size);
        if (unlikely(address == NULL)) {
            quick->failed++;
            return NULL;
        }
        block_touch(address, (uint32_t)*size, touch);
    } else {
        if (source == BARE_CALLS) {
            quick_empty.make(*size);
        }
        address = &quick_bare_buffer[quick->bumped & (BARE_BYTES - 1)];
        quick->bumped += (*size + 15) & ~(uint64_t)15;
        block_touch(address, 1, touch);
    }
    quick->live += (int64_t)*size;
    return address;
}

/* The same into a slot. A slot's index is not kept: its block stays at home. */
static ALWAYS_INLINE void quick_make_into(struct quick *quick, struct block *slot,
                                          const enum wk_touch touch, const enum source source) {
    uint64_t size;
    uint32_t place;
    slot->address = quick_make(quick, &size, &place, touch, source);
    slot->size = (uint32_t)size;
}

static ALWAYS_INLINE void quick_free(struct quick *quick, char *address, uint32_t size,
                                     const enum source source) {
    quick->live -= size;
    if (source == PROCESS_MALLOC) {
        free(address);
    }
    if (source == BARE_CALLS) {
        quick_empty.release(address);
    }
}

#define QUICK_VARIANT(body, name, touch, source)                                                   \
    static void name(struct worker *worker, uint64_t count) {                                      \
        body(worker, count, touch, source);                                                        \
    }

/* Defines loop_fast and loop_bare, the choosers a struct kernel wants. */
#define QUICK_VARIANTS(body)                                                                       \
    QUICK_VARIANT(body, body##_none, WK_TOUCH_NONE, PROCESS_MALLOC)                                \
    QUICK_VARIANT(body, body##_first, WK_TOUCH_FIRST, PROCESS_MALLOC)                              \
    QUICK_VARIANT(body, body##_ends, WK_TOUCH_ENDS, PROCESS_MALLOC)                                \
    QUICK_VARIANT(body, body##_bare_none, WK_TOUCH_NONE, BARE_BUMP)                                \
    QUICK_VARIANT(body, body##_bare_first, WK_TOUCH_FIRST, BARE_BUMP)                              \
    QUICK_VARIANT(body, body##_bare_ends, WK_TOUCH_ENDS, BARE_BUMP)                                \
    QUICK_VARIANT(body, body##_calls_none, WK_TOUCH_NONE, BARE_CALLS)                              \
    QUICK_VARIANT(body, body##_calls_first, WK_TOUCH_FIRST, BARE_CALLS)                            \
    QUICK_VARIANT(body, body##_calls_ends, WK_TOUCH_ENDS, BARE_CALLS)                              \
    static steps *body##_fast(const struct run *run) {                                             \
        static steps *const variants[] = {body##_none, body##_first, body##_ends};                 \
        return block_quick_fits(run) ? variants[run->request->touch] : NULL;                       \
    }                                                                                              \
    static steps *body##_bare(const struct run *run) {                                             \
        static steps *const variants[][3] = {                                                      \
            {body##_bare_none, body##_bare_first, body##_bare_ends},                               \
            {body##_calls_none, body##_calls_first, body##_calls_ends}};                           \
        int32_t touch = run->request->touch <= WK_TOUCH_ENDS ? run->request->touch : 0;            \
        return variants[run->request->loop == WK_LOOP_CALLS][touch];                               \
    }

#endif
