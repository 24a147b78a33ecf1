#define _GNU_SOURCE
#include "face/check.h"
#include "base/config.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/say.h"
#include "face/aside.h"
#include "face/block.h"
#include "pages/pagemap.h"
#include "pages/span.h"
#include "tables/superreg.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FILL_NEW 0xa5
#define FILL_FREED 0xdf
#define FILL_BEHIND 0xbd

/* Bytes checked behind a block at least; the rest of its class size is checked too, up to the most.
 */
#define BEHIND_LEAST ((size_t)32)
#define BEHIND_MOST ((size_t)512)

/* Freed blocks that wait, and the bytes they may hold. */
#define QUARANTINE_BLOCKS 8192
#define QUARANTINE_BYTES (32 * MIB)

/* Of a longer freed block only this much at either end is watched: filling gigabytes helps nobody.
 */
#define WATCH_MOST (64 * KIB)

#define LIVE 0x6c6976656c697665u
#define FREED 0x6672656564667265u

/* Lies right before the block, so that a write before it breaks it. */
struct header {
    uint64_t state;  /* (LIVE or FREED) ^ the block's address */
    uint64_t size;   /* asked for */
    uint64_t inner;  /* address of the inner block, from block_take */
    uint32_t thread; /* kernel's number of the one that allocated, then that freed */
    uint32_t align;  /* log2 of the alignment asked for */
    uint64_t inner_size;
    uint64_t sum; /* of the above */
};
_Static_assert(sizeof(struct header) % 16 == 0, "blocks stay aligned");

static struct lock lock; /* CHECK */
static void *waiting[QUARANTINE_BLOCKS];
static size_t first, count, waiting_bytes;
static size_t waiting_mapped; /* of these, in mappings of their own */

/* The thread is in here; what comes now is a signal handler's. */
static _Thread_local volatile sig_atomic_t inside __attribute__((tls_model("initial-exec")));

/* What handlers freed meanwhile, linked through the blocks' first words: this thread ends it. */
static _Thread_local void *_Atomic deferred __attribute__((tls_model("initial-exec")));

void check_init(void) {
    lock_init(&lock, "check", RANK_CHECK);
    if (config.check) {
        aside_init();
    }
}

static struct header *header_of(const void *block) {
    return (struct header *)block - 1;
}

static uint64_t sum_of(const struct header *h) {
    uint64_t sum = h->state;
    const uint64_t more[] = {h->size, h->inner, ((uint64_t)h->thread << 32) | h->align,
                             h->inner_size};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        sum = (sum ^ more[i]) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    return sum;
}

static char *put_text(char *out, const char *text) {
    size_t n = strlen(text);
    memcpy(out, text, n);
    return out + n;
}

static char *put_number(char *out, uint64_t n, unsigned base) {
    char digits[24];
    int count_digits = 0;
    do {
        digits[count_digits++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    while (count_digits > 0) {
        *out++ = digits[--count_digits];
    }
    return out;
}

/* One line: the fault, the address, the block's size and class, the thread that noticed. `h` may be
 * NULL where there is no block to speak of. */
static _Noreturn void fault(const char *what, const void *block, const struct header *h) {
    char line[400], *out = put_text(line, "hakmem: ");
    out = put_text(out, what);
    out = put_text(out, ": 0x");
    out = put_number(out, (uintptr_t)block, 16);
    if (h != NULL) {
        out = put_text(out, ", block of ");
        out = put_number(out, h->size, 10);
        out = put_text(out, " bytes in class ");
        out = put_number(out, h->inner_size, 10);
        out = put_text(out, h->state == (FREED ^ (uintptr_t)block) ? ", freed by thread "
                                                                   : ", allocated by thread ");
        out = put_number(out, h->thread, 10);
    }
    out = put_text(out, ", noticed by thread ");
    out = put_number(out, (uint64_t)os_thread(), 10);
    *out = '\0';
    say_line(line);
    abort();
}

/* The readable part of our memory an address lies in begins at the inner block's start; 0 if the
 * address is in no block of ours, or in one that was never handed out. */
static uintptr_t inner_start(const void *address) {
    unsigned byte = pagemap_class(address);
    if (byte == CLASS_ROUTED || class_is_block(byte)) {
        return (uintptr_t)span_block_of(pagemap_span(address), address);
    }
    /* Of a run only the first granule has a byte; an aligned block may begin in a later one. */
    const struct range *range = pagemap_range(address);
    size_t granule = ((uintptr_t)address - range->base) >> GRANULE_SHIFT;
    while (granule > 0 && range->class_of[granule] == CLASS_NONE) {
        granule--;
    }
    const struct span *span = &range->spans[granule];
    return range->class_of[granule] == CLASS_RUN &&
                   (uintptr_t)address - span->start < span->granules * GRANULE
               ? span->start
               : 0;
}

/* The header of a live block, or the end of the process. */
static struct header *live_header(const char *verb_double, const char *verb_invalid,
                                  const void *block) {
    uintptr_t at = (uintptr_t)block;
    struct header *h = header_of(block);
    bool ours = pagemap_owns(block);
    if (at % ALIGN_LEAST != 0) {
        fault(verb_invalid, block, NULL);
    }
    if (ours) {
        uintptr_t start = inner_start(block);
        if (start == 0 || at < start + sizeof *h) {
            fault(verb_invalid, block, NULL);
        }
    } else {
        struct mapping *mapping = superreg_containing(block);
        if (mapping == NULL || at < mapping->address + sizeof *h) {
            fault(verb_invalid, block, NULL);
        }
    }
    if (h->state == (FREED ^ at)) {
        fault(verb_double, block, h);
    }
    if (h->state != (LIVE ^ at)) {
        /* Either no block begins here, or what was before it was overwritten. */
        uintptr_t start = ours ? inner_start(block) : 0;
        const struct header *first_header = (const struct header *)start;
        bool begins = ours && start + sizeof *h == at;
        fault(begins && first_header->sum != 0 ? "write before the block, or invalid pointer"
                                               : verb_invalid,
              block, NULL);
    }
    if (h->sum != sum_of(h)) {
        fault("write before the block (underflow)", block, NULL);
    }
    return h;
}

static size_t behind(const struct header *h, const void *block) {
    size_t room = (size_t)(h->inner + h->inner_size - ((uintptr_t)block + h->size));
    return room < BEHIND_MOST ? room : BEHIND_MOST;
}

static bool all(const unsigned char *bytes, size_t n, unsigned char value) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

static void seal(struct header *h, uint64_t state, void *block) {
    h->state = state ^ (uintptr_t)block;
    h->thread = (uint32_t)os_thread();
    h->sum = sum_of(h);
}

static void watch(unsigned char *block, size_t size, void (*each)(unsigned char *, size_t, void *),
                  void *argument) {
    if (size <= 2 * WATCH_MOST) {
        each(block, size, argument);
    } else {
        each(block, WATCH_MOST, argument);
        each(block + size - WATCH_MOST, WATCH_MOST, argument);
    }
}

static void fill_freed(unsigned char *bytes, size_t n, void *argument) {
    (void)argument;
    memset(bytes, FILL_FREED, n);
}

static void still_freed(unsigned char *bytes, size_t n, void *intact) {
    *(bool *)intact &= all(bytes, n, FILL_FREED);
}

/* The end of a quarantine: nobody may have written there. */
static void release(void *block) {
    struct header *h = header_of(block);
    bool intact = h->state == (FREED ^ (uintptr_t)block) && h->sum == sum_of(h);
    if (intact) {
        watch(block, h->size, still_freed, &intact);
    }
    if (!intact) {
        fault("write after free", block, h->sum == sum_of(h) ? h : NULL);
    }
    void *inner = (void *)h->inner;
    h->state = h->sum = 0;
    block_give(inner);
}

static size_t mapped_bytes(const struct header *h) {
    return pagemap_owns((void *)h->inner) ? 0 : h->inner_size;
}

/* Takes one block out of the quarantine if it is over its bounds with `bytes` more, NULL else. */
static void *overdue(size_t bytes) {
    void *block = NULL;
    if (count > 0 && (count == QUARANTINE_BLOCKS || waiting_bytes + bytes > QUARANTINE_BYTES)) {
        block = waiting[first];
        first = (first + 1) % QUARANTINE_BLOCKS;
        count--;
        waiting_bytes -= header_of(block)->inner_size;
        waiting_mapped -= mapped_bytes(header_of(block));
    }
    return block;
}

static void drain(void) {
    for (;;) {
        lock_acquire(&lock);
        void *block = overdue(QUARANTINE_BYTES + 1);
        lock_release(&lock);
        if (block == NULL) {
            return;
        }
        release(block);
    }
}

static void *take(size_t size, size_t alignment, bool *zero) {
    size_t before = align_up(sizeof(struct header), alignment);
    if (size > PTRDIFF_MAX || alignment > PTRDIFF_MAX ||
        size + before + BEHIND_LEAST > PTRDIFF_MAX) {
        return NULL;
    }
    char *inner = block_take(size + before + BEHIND_LEAST, alignment, zero);
    if (inner == NULL) {
        /* What waits in quarantine is memory too. */
        drain();
        inner = block_take(size + before + BEHIND_LEAST, alignment, zero);
        if (inner == NULL) {
            return NULL;
        }
    }
    char *block = inner + before;
    struct header *h = header_of(block);
    bool was_zero = *zero;
    *h = (struct header){
        .size = size,
        .inner = (uintptr_t)inner,
        .inner_size = block_usable(inner),
        .align = (uint32_t)__builtin_ctzll(alignment),
    };
    seal(h, LIVE, block);
    if (!was_zero) {
        memset(block, FILL_NEW, size < WATCH_MOST ? size : WATCH_MOST);
    }
    memset(block + size, FILL_BEHIND, behind(h, block));
    return block;
}

static void give(void *block) {
    struct header *h = live_header("double free", "free of an invalid pointer", block);
    if (!all((unsigned char *)block + h->size, behind(h, block), FILL_BEHIND)) {
        fault("write past the end of the block (overflow)", block, h);
    }
    watch(block, h->size, fill_freed, NULL);
    seal(h, FREED, block);
    size_t bytes = h->inner_size;
    for (;;) {
        lock_acquire(&lock);
        void *leaving = overdue(bytes);
        if (leaving == NULL) {
            waiting[(first + count++) % QUARANTINE_BLOCKS] = block;
            waiting_bytes += bytes;
            waiting_mapped += mapped_bytes(h);
        }
        lock_release(&lock);
        if (leaving == NULL) {
            return;
        }
        release(leaving);
    }
}

void *check_take(size_t size, size_t alignment, bool *zero) {
    if (inside) {
        *zero = false;
        return aside_take(size, alignment);
    }
    inside = 1;
    void *block = take(size, alignment, zero);
    inside = 0;
    return block;
}

/* The link of a short block lies in part where the pattern behind it belongs. */
static void give_deferred(void) {
    char *next, *block = atomic_exchange_explicit(&deferred, NULL, memory_order_relaxed);
    for (; block != NULL; block = next) {
        memcpy(&next, block, sizeof next);
        size_t size = header_of(block)->size;
        if (size < sizeof next) {
            memset(block + size, FILL_BEHIND, sizeof next - size);
        }
        give(block);
    }
}

void check_give(void *block) {
    if (aside_owns(block)) {
        aside_give(block);
    } else if (inside) {
        void *next = atomic_load_explicit(&deferred, memory_order_relaxed);
        memcpy(block, &next, sizeof next);
        atomic_store_explicit(&deferred, block, memory_order_relaxed);
    } else {
        inside = 1;
        give(block);
        give_deferred();
        inside = 0;
    }
}

void check_drain(void) {
    if (config.check && !inside) {
        inside = 1;
        drain();
        inside = 0;
    }
}

/* The header of a live block, whose end the caller may not live to see; NULL if nobody can tell
 * now. */
static const struct header *known_header(const char *verb_double, const char *verb_invalid,
                                         const void *block) {
    if (inside || aside_owns(block)) {
        return NULL;
    }
    inside = 1;
    const struct header *h = live_header(verb_double, verb_invalid, block);
    inside = 0;
    return h;
}

size_t check_usable(const void *block) {
    if (aside_owns(block)) {
        return aside_size(block);
    }
    const struct header *h = known_header("use after free", "invalid pointer", block);
    return h != NULL ? h->size : header_of(block)->size;
}

void check_size(const void *block, size_t size) {
    const struct header *h = known_header("double free", "free of an invalid pointer", block);
    if (h != NULL && h->size != size) {
        fault("free with another size than the block's", block, h);
    }
}

void check_alignment(const void *block, size_t alignment) {
    const struct header *h = known_header("double free", "free of an invalid pointer", block);
    if (h != NULL && (alignment == 0 || (alignment & (alignment - 1)) != 0 ||
                      ((size_t)1 << h->align) < alignment)) {
        fault("free with another alignment than the block's", block, h);
    }
}

void check_forget(void) {
    first = count = waiting_bytes = waiting_mapped = 0;
}

size_t check_waiting(void) {
    lock_acquire(&lock);
    size_t bytes = waiting_bytes - waiting_mapped;
    lock_release(&lock);
    return bytes;
}
