#include "stores/spans.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/say.h"
#include "pages/hugepages.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "pages/regret.h"
#include "pages/span.h"
#include "tables/announce.h"

/* A class's spans with free blocks are in lists by the eighths of them that are free; BARE are
 * those a sixteenth of whose pages is idle: holds memory, and no block that is out needs it. RESTED
 * are the spans mostly free, most of whose pages hold none. Blocks are taken from the fullest, then
 * from the bare, at last from the rested. A span is in the list span->listed - 1, or AWAY: being
 * purged, with no lock held. */
enum { BARE = 8, RESTED, LISTS, AWAY };

/* Spans too young to be purged that a step of spans_purge looks at in a list. */
#define PURGE_LOOKS 64

struct spans {
    struct lock lock;                        /* SPANS: all of it, and bits of the class's spans */
    struct span *first[LISTS], *last[LISTS]; /* spans with at least one free block */
    _Atomic uint64_t number, cut;            /* spans of this class; blocks taken from them */
    _Atomic uint64_t purges;                 /* calls made for their free pages */
    _Atomic uint64_t bare;                   /* bytes of the idle pages of the bare ones */
    uint64_t hollow;                         /* of those and the rested, all that is not needed */
    uint64_t told_bare, told_hollow;         /* what the sums over all classes contain of the two */
};

static struct spans of_class[CLASS_COUNT];
static _Atomic uint64_t bare_bytes, hollow_bytes; /* over all classes */

void spans_init(void) {
    static const struct lock_family locks = {.name = "spans",
                                             .first = &of_class[CLASS_FIRST].lock,
                                             .stride = sizeof of_class[0],
                                             .count = CLASS_COUNT - CLASS_FIRST,
                                             .number = sizeclass_size_of,
                                             .rank = RANK_SPANS};
    lock_init_family(&locks);
}

static uint32_t idle_pages(const struct span *span) {
    uint32_t needed = span_pages_needed(span);
    return span->held > needed ? span->held - needed : 0;
}

static unsigned list_for(const struct span *span) {
    unsigned blocks = sizeclass[span->cls].blocks, pages = span_pages(span);
    unsigned eighth = span->free * 8u / (blocks + 1u);
    if (eighth == 0) {
        return eighth;
    }
    if (idle_pages(span) * 16 >= pages) {
        return BARE;
    }
    return eighth >= 4 && span->held * 2 <= pages ? RESTED : eighth;
}

/* Counts what a span's free blocks hold, or no longer, as long as its list says that it counts. */
static void count(struct spans *spans, const struct span *span, uint64_t sign) {
    unsigned list = span->listed - 1u;
    if (list == BARE || list == RESTED) {
        spans->hollow += sign * (span_pages(span) - span_pages_needed(span)) * PAGE;
        if (list == BARE) {
            lock_bump(&spans->bare, sign * idle_pages(span) * PAGE);
        }
    }
}

static void list_insert(struct spans *spans, struct span *span) {
    unsigned list = list_for(span);
    span->prev = NULL;
    span->next = spans->first[list];
    *(span->next != NULL ? &span->next->prev : &spans->last[list]) = span;
    spans->first[list] = span;
    span->listed = (uint8_t)(list + 1);
}

static void list_remove(struct spans *spans, struct span *span) {
    unsigned list = span->listed - 1u;
    *(span->prev != NULL ? &span->prev->next : &spans->first[list]) = span->next;
    *(span->next != NULL ? &span->next->prev : &spans->last[list]) = span->prev;
    span->listed = 0;
}

/* A span's blocks came or went: where it belongs now. `count` had been told before. */
static void place(struct spans *spans, struct span *span) {
    if (span->listed - 1u != list_for(span)) {
        if (span->listed) {
            list_remove(spans, span);
        }
        list_insert(spans, span);
    }
    count(spans, span, 1);
}

/* Releases SPANS, having told the sums what changed. */
static void release(struct spans *spans) {
    uint64_t held = atomic_load_explicit(&spans->bare, memory_order_relaxed) - spans->told_bare;
    uint64_t hollow = spans->hollow - spans->told_hollow;
    spans->told_bare += held;
    spans->told_hollow += hollow;
    lock_release(&spans->lock);
    if (held != 0 || hollow != 0) {
        atomic_fetch_add_explicit(&bare_bytes, held, memory_order_relaxed);
        atomic_fetch_add_explicit(&hollow_bytes, hollow, memory_order_relaxed);
    }
}

static struct span *fullest(const struct spans *spans) {
    for (unsigned list = 0; list < LISTS; list++) {
        if (spans->first[list] != NULL) {
            return spans->first[list];
        }
    }
    return NULL;
}

/* Blocks of the spans at hand. */
static unsigned take_at_hand(struct spans *spans, void **out, unsigned n) {
    unsigned taken = 0;
    size_t missed = 0;
    lock_acquire(&spans->lock);
    struct span *span;
    while (taken < n && (span = fullest(spans)) != NULL) {
        count(spans, span, (uint64_t)-1);
        uint32_t held = span->held;
        taken += span_take(span, out + taken, n - taken);
        missed += span->thinned ? span->held - held : 0;
        if (span->free == 0) {
            list_remove(spans, span);
        } else {
            place(spans, span);
        }
    }
    lock_bump(&spans->cut, taken);
    release(spans);
    regret_missed_idle(missed * PAGE);
    return taken;
}

/* Blocks of a new span. Everything that can fault or fail happens before the lock is taken. */
static unsigned take_new(unsigned cls, struct spans *spans, void **out, unsigned n, size_t *fresh) {
    bool zero;
    struct span *span = pages_take(sizeclass[cls].granules, 1, &zero);
    if (span == NULL) {
        return 0;
    }
    uint32_t held = span->held;
    *fresh = (span->granules - held) * GRANULE;
    span_cut(span, cls);
    span->held = held * (uint32_t)(GRANULE / PAGE);
    span->purged = zero;
    span->freed_at_ms = os_coarse_ms();
    if (!announce_span(span, cls)) {
        pages_give(span);
        return 0;
    }
    unsigned taken = span_take(span, out, n);
    lock_acquire(&spans->lock);
    lock_bump(&spans->number, 1);
    lock_bump(&spans->cut, taken);
    if (span->free != 0) {
        place(spans, span);
    }
    release(spans);
    return taken;
}

unsigned spans_take(unsigned cls, void **out, unsigned n, size_t *fresh) {
    *fresh = 0;
    unsigned taken = take_at_hand(&of_class[cls], out, n);
    return taken != 0 ? taken : take_new(cls, &of_class[cls], out, n, fresh);
}

/* A span with no block out is no longer one of its class. Requires SPANS. */
static void disown(struct spans *spans, struct span *span) {
    if (span->listed != 0) {
        list_remove(spans, span);
    }
    lock_bump(&spans->number, (uint64_t)-1);
}

/* Returns blocks to their spans, and empty spans to the page heap. What is from before a fork that
 * nobody announced has no span any more. */
void spans_give(unsigned cls, void *const *blocks, unsigned n) {
    struct spans *spans = &of_class[cls];
    struct span *empty = NULL;
    void *bad = NULL;
    uint64_t now = os_coarse_ms();
    lock_acquire(&spans->lock);
    for (unsigned i = 0; i < n;) {
        if (pagemap_is_forgotten(blocks[i])) {
            i++;
            continue;
        }
        struct span *span = pagemap_span(blocks[i]);
        bool ours = span->cls == cls;
        if (ours) {
            count(spans, span, (uint64_t)-1);
        }
        unsigned put = ours ? span_put(span, blocks + i, n - i) : 0;
        if (put == 0) {
            bad = blocks[i];
            break;
        }
        i += put;
        span->freed_at_ms = now;
        if (span->listed == AWAY) {
            continue; /* whoever purges it looks at what came back */
        }
        if (span->free == sizeclass[cls].blocks) {
            disown(spans, span);
            span->next = empty;
            empty = span;
        } else {
            place(spans, span);
        }
    }
    release(spans);
    if (bad != NULL) {
        say_die("free(): invalid pointer or double free", bad);
    }
    while (empty != NULL) {
        struct span *span = empty;
        empty = span->next;
        announce_end(span, cls);
        pages_give(span);
    }
}

static bool purgeable(unsigned cls) {
    return sizeclass[cls].blocks > 1 && !config.check;
}

/* Purges the pages under a span's free blocks. While it is AWAY nobody takes any. Requires SPANS,
 * which is dropped meanwhile and afterwards. Returns bytes. */
static size_t purge_span(unsigned cls, struct spans *spans, struct span *span) {
    size_t purged = 0, idle = 0, from = 0, to;
    uint64_t calls = 0;
    count(spans, span, (uint64_t)-1);
    list_remove(spans, span);
    span->listed = AWAY;
    span->purged = span->thinned = true;
    while (span_free_pages(span, &from, &to)) {
        release(spans);
        if (os_purge((void *)(span->start + from), to - from)) {
            hugepages_purged(span->start + from, to - from);
            purged += to - from;
        }
        calls++;
        idle += to - from;
        lock_acquire(&spans->lock);
        from = to;
    }
    lock_bump(&spans->purges, calls);
    /* Never bare at once again, though the system refused, or needed pages are more than a guess.
     */
    uint32_t left = span_pages(span) - (uint32_t)(idle / PAGE), needed = span_pages_needed(span);
    span->held = left < needed ? left : needed;
    span->listed = 0;
    bool empty = span->free == sizeclass[cls].blocks;
    if (empty) {
        disown(spans, span);
    } else {
        place(spans, span);
    }
    release(spans);
    if (empty) {
        announce_end(span, cls);
        pages_give(span);
    }
    return purged;
}

/* The bare spans that have had a block back last age_ms before now_ms; of the others, the first few
 * go to the list's other end. */
static size_t purge_bare(unsigned cls, uint64_t now_ms, uint64_t age_ms) {
    struct spans *spans = &of_class[cls];
    size_t total = 0;
    for (int young = 0; young < PURGE_LOOKS;) {
        lock_acquire(&spans->lock);
        struct span *span = spans->last[BARE];
        if (span == NULL) {
            lock_release(&spans->lock);
            break;
        }
        if (os_aged(span->freed_at_ms, now_ms, age_ms)) {
            total += purge_span(cls, spans, span);
            continue;
        }
        list_remove(spans, span);
        list_insert(spans, span);
        lock_release(&spans->lock);
        young++;
    }
    return total;
}

size_t spans_purge(uint64_t now_ms, uint64_t age_ms) {
    size_t total = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        total += purgeable(cls) ? purge_bare(cls, now_ms, age_ms) : 0;
    }
    return total;
}

/* Every span of one list that may hold something, once around. */
static size_t trim_list(unsigned cls, unsigned list) {
    struct spans *spans = &of_class[cls];
    struct span *first = NULL;
    size_t total = 0;
    uint64_t most = atomic_load_explicit(&spans->number, memory_order_relaxed);
    for (uint64_t i = 0; i < most; i++) {
        lock_acquire(&spans->lock);
        struct span *span = spans->last[list];
        if (span == NULL || span == first) {
            lock_release(&spans->lock);
            break;
        }
        first = first != NULL ? first : span;
        if (!span->purged) {
            total += purge_span(cls, spans, span);
            continue;
        }
        list_remove(spans, span);
        list_insert(spans, span);
        lock_release(&spans->lock);
    }
    return total;
}

size_t spans_trim(void) {
    size_t total = 0;
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        for (unsigned list = LISTS; list-- > 0 && purgeable(cls);) {
            total += trim_list(cls, list);
        }
    }
    return total;
}

uint64_t spans_bare_bytes(void) {
    return atomic_load_explicit(&bare_bytes, memory_order_relaxed);
}

uint64_t spans_hollow_bytes(void) {
    return atomic_load_explicit(&hollow_bytes, memory_order_relaxed);
}

size_t spans_purge_oldest(void) {
    unsigned cls = CLASS_NONE;
    uint64_t most = 0;
    for (unsigned i = CLASS_FIRST; i < CLASS_COUNT; i++) {
        uint64_t held = atomic_load_explicit(&of_class[i].bare, memory_order_relaxed);
        if (held > most && purgeable(i)) {
            most = held;
            cls = i;
        }
    }
    if (cls == CLASS_NONE) {
        return 0;
    }
    struct spans *spans = &of_class[cls];
    lock_acquire(&spans->lock);
    struct span *span = spans->last[BARE];
    if (span == NULL) {
        lock_release(&spans->lock);
        return 0;
    }
    size_t idle = idle_pages(span) * PAGE;
    purge_span(cls, spans, span);
    return idle;
}

void spans_forget(void) {
    for (unsigned cls = CLASS_FIRST; cls < CLASS_COUNT; cls++) {
        struct spans *spans = &of_class[cls];
        for (int i = 0; i < LISTS; i++) {
            spans->first[i] = spans->last[i] = NULL;
        }
        spans->hollow = spans->told_bare = spans->told_hollow = 0;
        atomic_store_explicit(&spans->bare, 0, memory_order_relaxed);
        atomic_store_explicit(&spans->number, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&bare_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&hollow_bytes, 0, memory_order_relaxed);
}

void spans_stats(unsigned cls, struct spans_stats *out) {
    const struct spans *spans = &of_class[cls];
    *out = (struct spans_stats){
        .number = atomic_load_explicit(&spans->number, memory_order_relaxed),
        .cut = atomic_load_explicit(&spans->cut, memory_order_relaxed),
        .purges = atomic_load_explicit(&spans->purges, memory_order_relaxed),
    };
}
