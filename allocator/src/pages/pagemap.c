#include "pages/pagemap.h"

#include <string.h>

struct range ranges[RANGES_MAX];
_Atomic int range_count;

/* The most data of one range. */
#define WINDOW (256 * GIB)

/* Of the map (a byte for 64 KiB), of descriptors (1 KiB for 1 MiB) and of bitmaps (10 KiB for 1
 * MiB), mapped at a time. */
#define MAP_STEP (64 * KIB)
#define SPANS_STEP (64 * KIB)
#define BITS_STEP (256 * KIB)

/* Granules of a run for whose bitmaps the system is called: 4 MiB, of which they are 40 KiB. */
#define PURGE_BITS_FROM (2 * BITMAPS)

/* How a range lies: the map, the descriptors with a sentinel at either end, the bitmaps, the data.
 */
struct layout {
    size_t map, spans, bits, data_at;
};

/* Bytes of the bitmaps of so many granules. */
static size_t bits_for(size_t granules) {
    return (granules + BITMAPS - 1) / BITMAPS * sizeof(struct bitmaps);
}

static struct layout lay_out(size_t bytes) {
    struct layout lies;
    size_t granules = bytes >> GRANULE_SHIFT;
    lies.map = align_up(granules, PAGE_MOST);
    lies.spans = align_up((granules + 2) * sizeof(struct span), PAGE_MOST);
    lies.bits = align_up(bits_for(granules), PAGE_MOST);
    lies.data_at = align_up(lies.map + lies.spans + lies.bits, bytes < GIB ? GRANULE : HUGE_PAGE);
    return lies;
}

/* Enters a range that begins at `at` and of which this much is mapped. */
static void enter(char *at, size_t limit, size_t mapped, size_t ready, size_t spans_ready,
                  size_t bits_ready) {
    struct layout lies = lay_out(limit);
    int index = atomic_load_explicit(&range_count, memory_order_relaxed);
    struct range *range = &ranges[index];
    range->fast_base = FAST_CLOSED;
    range->base = (uintptr_t)at + lies.data_at;
    range->class_of = (uint8_t *)at;
    range->spans = (struct span *)(at + lies.map) + 1;
    range->bits = (struct bitmaps *)(at + lies.map + lies.spans);
    range->limit = limit;
    range->ready = ready;
    range->spans_ready = spans_ready;
    range->bits_ready = bits_ready;
    atomic_store_explicit(&range->bytes, mapped, memory_order_relaxed);
    atomic_store_explicit(&range_count, index + 1, memory_order_release);
}

/* A window that begins at `at`, with the first step of its map and of its descriptors. */
static bool open_window(uintptr_t at, size_t limit) {
    struct layout lies = lay_out(limit);
    char *map = (char *)at;
    if (os_map_at(map, MAP_STEP) != OS_DONE) {
        return false;
    }
    if (os_map_at(map + lies.map, SPANS_STEP) != OS_DONE) {
        os_unmap(map, MAP_STEP);
        return false;
    }
    enter(map, limit, MAP_STEP << GRANULE_SHIFT, 0, SPANS_STEP, 0);
    return true;
}

/* A window lies this part of the address space below where the system places its mappings (4 TiB of
 * 128), so that those come down to ours late; if something is there, one window below; at last as
 * near as this. ThreadSanitizer accepts no memory far away. */
#define DISTANCE_NEAR 2048
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONLY_NEAR
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(ONLY_NEAR)
#define DISTANCE DISTANCE_NEAR
#define WINDOWS_TRIED 1
#else
#define DISTANCE 32
#define WINDOWS_TRIED 8
#endif

/* Whether a range has any of these addresses, or may have them later. Where the system places moves
 * with what is mapped, so that two windows chosen alike need not be the same, nor apart. */
static bool is_of_range(uintptr_t from, uintptr_t to) {
    int count = atomic_load_explicit(&range_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        size_t bytes = range_bytes(&ranges[i]);
        size_t most = ranges[i].limit > bytes ? ranges[i].limit : bytes;
        if (from < ranges[i].base + most && (uintptr_t)ranges[i].class_of < to) {
            return true;
        }
    }
    return false;
}

static bool choose_window(size_t bytes) {
    uintptr_t place = os_place();
    size_t limit = WINDOW;
    while (limit > place / 4) {
        limit /= 2;
    }
    /* Whole steps of the map. */
    if (limit < MAP_STEP << GRANULE_SHIFT || limit < bytes) {
        return false;
    }
    size_t whole = lay_out(limit).data_at + limit;
    for (int i = 0; i <= WINDOWS_TRIED; i++) {
        size_t below =
            i < WINDOWS_TRIED ? place / DISTANCE + (size_t)i * whole : place / DISTANCE_NEAR;
        uintptr_t at = (place - below - whole) & ~(HUGE_PAGE - 1);
        if (below + whole < place && !is_of_range(at, at + whole) && open_window(at, limit)) {
            return true;
        }
    }
    return false;
}

/* A range where the system likes, mapped whole. */
static bool take_anywhere(size_t bytes) {
    struct layout lies = lay_out(bytes);
    char *at = os_map(lies.data_at + bytes, GRANULE);
    if (at == NULL) {
        return false;
    }
    if (is_of_range((uintptr_t)at, (uintptr_t)at + lies.data_at + bytes)) {
        os_unmap(at, lies.data_at + bytes);
        return false;
    }
    enter(at, bytes, bytes, bytes, lies.spans, lies.bits);
    return true;
}

bool pagemap_add_range(size_t bytes) {
    return atomic_load_explicit(&range_count, memory_order_relaxed) < RANGES_MAX &&
           (choose_window(bytes) || take_anywhere(align_up(bytes, GRANULE)));
}

/* Makes the first `end` bytes of data readable in the map. */
static enum os_answer extend_map(struct range *range, size_t end) {
    size_t from = range_bytes(range);
    if (end <= from) {
        return OS_DONE;
    }
    size_t to = align_up(end, MAP_STEP << GRANULE_SHIFT);
    enum os_answer answer =
        os_map_at(range->class_of + (from >> GRANULE_SHIFT), (to - from) >> GRANULE_SHIFT);
    if (answer == OS_DONE) {
        atomic_store_explicit(&range->bytes, to, memory_order_release);
    }
    return answer;
}

/* Makes the first `wanted` of a table's `most` bytes usable, of which *ready are. */
static enum os_answer extend_table(void *table, size_t *ready, size_t wanted, size_t step,
                                   size_t most) {
    if (wanted <= *ready) {
        return OS_DONE;
    }
    size_t to = align_up(wanted, step) < most ? align_up(wanted, step) : most;
    enum os_answer answer = os_map_at((char *)table + *ready, to - *ready);
    if (answer == OS_DONE) {
        *ready = to;
    }
    return answer;
}

/* Gives the first `end` bytes of data descriptors, one further at either end (neighbours' states
 * are read when runs are joined; untouched ones say that their granule is used), and bitmaps. */
static enum os_answer extend_tables(struct range *range, size_t end) {
    struct layout most = lay_out(range->limit);
    size_t granules = end >> GRANULE_SHIFT;
    enum os_answer answer =
        extend_table(&range->spans[-1], &range->spans_ready, (granules + 2) * sizeof(struct span),
                     SPANS_STEP, most.spans);
    return answer == OS_DONE ? extend_table(range->bits, &range->bits_ready, bits_for(granules),
                                            BITS_STEP, most.bits)
                             : answer;
}

enum os_answer pagemap_extend(struct range *range, size_t bytes) {
    size_t end = range_frontier(range) + bytes;
    if (end > range->ready) {
        enum os_answer answer = extend_map(range, end);
        answer = answer == OS_DONE ? extend_tables(range, end) : answer;
        answer = answer == OS_DONE
                     ? os_map_at((void *)(range->base + range->ready), end - range->ready)
                     : answer;
        if (answer != OS_DONE) {
            return answer;
        }
        range->ready = end;
    }
    atomic_store_explicit(&range->frontier, end, memory_order_release);
    return OS_DONE;
}

void pagemap_forget(void) {
    int count = atomic_load_explicit(&range_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        struct range *range = &ranges[i];
        /* Between what is forgotten and what comes next stands a granule that is never free, as
         * neighbours are looked at when runs are joined. Without it the range ends here. */
        if (range_frontier(range) == range->limit || pagemap_extend(range, GRANULE) != OS_DONE) {
            range->limit = range_frontier(range);
        }
        range->forgotten = range_frontier(range);
    }
}

uint64_t *pagemap_bits(const struct span *span, unsigned blocks) {
    struct range *range = pagemap_range((void *)span->start);
    size_t granule = (size_t)(span - range->spans);
    struct bitmaps *bits = &range->bits[granule / BITMAPS];
    return blocks <= 64 * SPAN_WORDS_FEW ? bits->few[granule % BITMAPS]
                                         : bits->many[granule % BITMAPS];
}

void pagemap_purge_bits(const struct span *run) {
    if (run->granules < PURGE_BITS_FROM) {
        return;
    }
    struct range *range = pagemap_range((void *)run->start);
    size_t first = (run->start - range->base) >> GRANULE_SHIFT;
    uintptr_t from = (uintptr_t)&range->bits[(first + BITMAPS - 1) / BITMAPS];
    uintptr_t to = (uintptr_t)&range->bits[(first + run->granules) / BITMAPS];
    from = align_up(from, os_page());
    to &= ~(os_page() - 1);
    if (from < to) {
        os_purge((void *)from, to - from);
    }
}

void pagemap_set(struct span *span, uint32_t granules, unsigned class_byte) {
    struct range *range = pagemap_range((void *)span->start);
    size_t first = (span->start - range->base) >> GRANULE_SHIFT;
    memset(range->class_of + first, (int)class_byte, granules);
}
