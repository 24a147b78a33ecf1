#include "boxes/large.h"
#include "base/decay.h"
#include "base/say.h"
#include "pages/pages.h"
#include "stores/central.h"
#include "stores/dirty.h"

static _Atomic uint64_t allocations, frees, bytes_in_runs;

static size_t granules_for(size_t size) {
    return (size + GRANULE - 1) >> GRANULE_SHIFT;
}

void *large_take(size_t size, size_t alignment, bool *zero) {
    if (size > PTRDIFF_MAX - GRANULE || alignment > PTRDIFF_MAX) {
        return NULL;
    }
    size_t granules = granules_for(size != 0 ? size : 1);
    size_t align_granules = alignment > GRANULE ? alignment >> GRANULE_SHIFT : 1;
    struct span *span = pages_take(granules, align_granules, zero);
    if (span == NULL) {
        return NULL;
    }
    span->cls = CLASS_RUN;
    pagemap_set(span, 1, CLASS_RUN);
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&bytes_in_runs, granules * GRANULE, memory_order_relaxed);
    if (*zero) {
        central_grown(granules * GRANULE);
    }
    decay_run_if_due();
    return (void *)span->start;
}

void large_free(void *block) {
    struct span *span = pagemap_span(block);
    if (span->start != (uintptr_t)block) {
        say_die("free(): invalid pointer", block);
    }
    pagemap_set(span, 1, CLASS_NONE);
    atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&bytes_in_runs, span->granules * GRANULE, memory_order_relaxed);
    pages_give(span);
    dirty_bound();
    decay_run_if_due();
}

size_t large_usable(const void *block) {
    return pagemap_span(block)->granules * GRANULE;
}

bool large_resize(void *block, size_t size) {
    struct span *span = pagemap_span(block);
    size_t old = span->granules, granules = granules_for(size);
    if (granules > UINT32_MAX) {
        return false;
    }
    if (granules < old) {
        pages_shorten(span, granules);
        dirty_bound();
    } else if (granules > old && !pages_lengthen(span, granules)) {
        return false;
    }
    atomic_fetch_add_explicit(&bytes_in_runs, (granules - old) * GRANULE, memory_order_relaxed);
    return true;
}

void large_stats(struct large_stats *out) {
    *out = (struct large_stats){
        .allocations = atomic_load_explicit(&allocations, memory_order_relaxed),
        .frees = atomic_load_explicit(&frees, memory_order_relaxed),
        .bytes = atomic_load_explicit(&bytes_in_runs, memory_order_relaxed),
    };
}
