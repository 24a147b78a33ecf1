/* malloc and free of the hot loops: nothing but the call, the accounts and a touch that the
 * compiler knows. A loop is written once, as an always-inline function of (touch, source), and
 * QUICK_VARIANTS makes its six copies. */
#ifndef WORKLOADS_QUICK_H
#define WORKLOADS_QUICK_H

#include "block.h"

enum source {
    PROCESS_MALLOC, /* the process's malloc and free */
    BARE_BUMP       /* a pointer moved through a small buffer: what the loop itself costs */
};

enum { BARE_BYTES = 1 << 16 };
extern char quick_bare_buffer[BARE_BYTES + APART];

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

/* A block of the next size, its place in the table to *place. NULL: failed, and counted. */
static ALWAYS_INLINE char *quick_make(struct quick *quick, uint32_t *size, uint32_t *place,
                                      const enum wk_touch touch, const enum source source) {
    *place = size_place(quick->cursor++, quick->order);
    *size = quick->sizes[*place];
    char *address;
    if (source == PROCESS_MALLOC) {
        address = malloc(*size);
        if (UNLIKELY(!address)) {
            quick->failed++;
            return NULL;
        }
        block_touch(address, *size, touch);
    } else {
        address = &quick_bare_buffer[quick->bumped & (BARE_BYTES - 1)];
        quick->bumped += (*size + 15) & ~15u;
        block_touch(address, 1, touch);
    }
    quick->live += *size;
    return address;
}

/* The same into a slot. A slot's index is not kept: its block stays at home. */
static ALWAYS_INLINE void quick_make_into(struct quick *quick, struct block *slot,
                                          const enum wk_touch touch, const enum source source) {
    uint32_t size, place;
    slot->address = quick_make(quick, &size, &place, touch, source);
    slot->size = size;
}

static ALWAYS_INLINE void quick_free(struct quick *quick, char *address, uint32_t size,
                                     const enum source source) {
    quick->live -= size;
    if (source == PROCESS_MALLOC)
        free(address);
}

#define QUICK_VARIANT(loop, name, touch, source)                                                   \
    static void name(struct worker *worker, uint64_t count) {                                      \
        loop(worker, count, touch, source);                                                        \
    }

/* Defines loop_fast and loop_bare, the choosers a struct kernel wants. */
#define QUICK_VARIANTS(loop)                                                                       \
    QUICK_VARIANT(loop, loop##_none, WK_TOUCH_NONE, PROCESS_MALLOC)                                \
    QUICK_VARIANT(loop, loop##_first, WK_TOUCH_FIRST, PROCESS_MALLOC)                              \
    QUICK_VARIANT(loop, loop##_ends, WK_TOUCH_ENDS, PROCESS_MALLOC)                                \
    QUICK_VARIANT(loop, loop##_bare_none, WK_TOUCH_NONE, BARE_BUMP)                                \
    QUICK_VARIANT(loop, loop##_bare_first, WK_TOUCH_FIRST, BARE_BUMP)                              \
    QUICK_VARIANT(loop, loop##_bare_ends, WK_TOUCH_ENDS, BARE_BUMP)                                \
    static steps *loop##_fast(const struct run *run) {                                             \
        static steps *const variants[] = {loop##_none, loop##_first, loop##_ends};                 \
        return block_quick_fits(run) ? variants[run->request->touch] : NULL;                       \
    }                                                                                              \
    static steps *loop##_bare(const struct run *run) {                                             \
        static steps *const variants[] = {loop##_bare_none, loop##_bare_first, loop##_bare_ends};  \
        return variants[run->request->touch <= WK_TOUCH_ENDS ? run->request->touch : 0];           \
    }

#endif
