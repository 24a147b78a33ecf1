#include "pagemap.h"
#include "os.h"

#include <string.h>

struct range ranges[RANGES_MAX];
_Atomic int range_count;

static bool commit_pages(void *from, size_t bytes) {
    uintptr_t start = (uintptr_t)from & ~(PAGE - 1);
    uintptr_t end = align_up((uintptr_t)from + bytes, PAGE);
    return os_commit((void *)start, end - start);
}

/* One reservation holds, in this order: the map, the descriptors with a sentinel at either end, the
 * data. The map is made usable whole (a byte for 64 KiB), the rest as it is claimed. */
bool pagemap_add_range(size_t bytes) {
    int index = atomic_load_explicit(&range_count, memory_order_relaxed);
    if (index == RANGES_MAX) {
        return false;
    }
    size_t granules = bytes >> GRANULE_SHIFT;
    size_t map_bytes = align_up(granules, PAGE);
    size_t span_bytes = align_up((granules + 2) * sizeof(struct span), PAGE);
    size_t data_at = align_up(map_bytes + span_bytes, HUGE_PAGE);
    char *at = os_reserve(data_at + (granules << GRANULE_SHIFT), HUGE_PAGE);
    if (at == NULL) {
        return false;
    }
    struct span *spans = (struct span *)(at + map_bytes) + 1;
    if (!os_commit(at, map_bytes) || !commit_pages(&spans[-1], sizeof(struct span)) ||
        !commit_pages(&spans[granules], sizeof(struct span))) {
        os_unmap(at, data_at + (granules << GRANULE_SHIFT));
        return false;
    }
    struct range *range = &ranges[index];
    range->class_of = (uint8_t *)at;
    range->spans = spans;
    range->base = (uintptr_t)at + data_at;
    range->frontier = 0;
    range->bytes = granules << GRANULE_SHIFT;
    atomic_store_explicit(&range_count, index + 1, memory_order_release);
    return true;
}

bool pagemap_commit_spans(struct range *range, size_t offset, size_t bytes) {
    size_t first = offset >> GRANULE_SHIFT, count = bytes >> GRANULE_SHIFT;
    /* One descriptor further at either end: the neighbours' states are read when runs are joined,
     * and the one before may be claimed by a thread that has not made it usable yet. */
    return commit_pages(range->spans + first - 1, (count + 2) * sizeof(struct span));
}

bool pagemap_commit(struct range *range, size_t offset, size_t bytes) {
    if (!pagemap_commit_spans(range, offset, bytes) ||
        !os_commit((void *)(range->base + offset), bytes)) {
        return false;
    }
    atomic_fetch_add_explicit(&range->committed, bytes, memory_order_relaxed);
    return true;
}

void pagemap_forget(void) {
    int count = atomic_load_explicit(&range_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        struct range *range = &ranges[i];
        size_t at = range->frontier;
        /* Between what is forgotten and what comes next stands a granule that is never free, as
         * neighbours are looked at when runs are joined. Without it the rest is forgotten too. */
        if (at < range->bytes && pagemap_commit_spans(range, at, GRANULE)) {
            range->spans[at >> GRANULE_SHIFT].state = SPAN_USED;
            range->frontier = at + GRANULE;
        } else {
            range->frontier = range->bytes;
        }
        range->forgotten = range->frontier;
    }
}

void pagemap_set(struct span *span, uint32_t granules, unsigned class_byte) {
    struct range *range = pagemap_range((void *)span->start);
    size_t first = (span->start - range->base) >> GRANULE_SHIFT;
    memset(range->class_of + first, (int)class_byte, granules);
}
