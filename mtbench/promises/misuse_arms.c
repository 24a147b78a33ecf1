/* The misuse programs of a block of some size, and the rows of all. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"
#include "misuse.h"
#include "pattern.h"
#include "team.h"

void misuse_life_goes_on(size_t bytes) {
    enum { LIVE = 300 };
    static void *held[LIVE];
    size_t count = bytes > 100000 ? 4 : LIVE;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            held[i] = heap.malloc(bytes);
            if (held[i] != NULL) {
                memset(held[i], 7, bytes);
            }
        }
        for (size_t i = 0; i < count; i++) {
            heap.free(held[i]);
        }
    }
    for (size_t i = 0; i < LIVE; i++) {
        held[i] = heap.malloc(i * 17 + 1);
    }
    for (size_t i = 0; i < LIVE; i++) {
        heap.free(held[i]);
    }
    heap.malloc_trim(0);
}

/* A block among others of its size, so that its neighbours are live. */
static char *block_among(size_t bytes) {
    heap.malloc(bytes);
    char *block = heap.malloc(bytes);
    heap.malloc(bytes);
    memset(block, 1, bytes);
    return block;
}

static void free_with_others(char *block, size_t bytes) {
    void *others[20];
    for (int i = 0; i < 20; i++) {
        others[i] = heap.malloc(bytes);
    }
    heap.free(block);
    for (int i = 0; i < 20; i++) {
        heap.free(others[i]);
    }
}

static void *free_in_thread(void *block) {
    heap.free(block);
    return NULL;
}

FAULT(
    double_free,
    {
        char *p = block_among(bytes);
        heap.free(p);
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        heap.free(p);
    })

FAULT(
    double_free_delayed,
    {
        char *p = block_among(bytes);
        free_with_others(p, bytes);
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        free_with_others(p, bytes);
    })

FAULT(
    double_free_interleaved,
    {
        char *a = block_among(bytes);
        char *b = block_among(bytes);
        heap.free(a);
        heap.free(b);
        heap.free(a);
    },
    {
        char *a = block_among(bytes);
        char *b = block_among(bytes);
        heap.free(a);
        heap.free(b);
    })

FAULT(
    double_free_reused,
    {
        char *a = block_among(bytes);
        heap.free(a);
        char *b = heap.malloc(bytes);
        heap.free(a);
        heap.free(b);
    },
    {
        char *a = block_among(bytes);
        heap.free(a);
        char *b = heap.malloc(bytes);
        heap.free(b);
    })

FAULT(
    double_free_thread,
    {
        char *p = block_among(bytes);
        thread_join(thread_start(free_in_thread, p));
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        thread_join(thread_start(free_in_thread, p));
    })

FAULT(interior, { heap.free(block_among(bytes) + 16); }, { heap.free(block_among(bytes)); })

FAULT(interior_odd, { heap.free(block_among(bytes) + 1); }, { heap.free(block_among(bytes)); })

FAULT(
    interior_end,
    {
        char *p = block_among(bytes);
        heap.free(p + (bytes - 8) / 16 * 16);
    },
    { heap.free(block_among(bytes)); })

FAULT(
    aligned_interior,
    {
        char *p = heap.memalign(256, bytes);
        memset(p, 1, bytes);
        heap.free(p + 16);
    },
    {
        char *p = heap.memalign(256, bytes);
        memset(p, 1, bytes);
        heap.free(p);
    })

FAULT(
    underflow_one,
    {
        char *p = block_among(bytes);
        p[-1] ^= 0x55;
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        p[0] ^= 0x55;
        heap.free(p);
    })

FAULT(
    underflow_many,
    {
        char *p = block_among(bytes);
        memset(p - 32, 0x55, 32);
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        memset(p, 0x55, 16);
        heap.free(p);
    })

FAULT(
    overflow_one,
    {
        char *p = block_among(bytes);
        p[bytes] ^= 0x55;
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        p[bytes - 1] ^= 0x55;
        heap.free(p);
    })

FAULT(
    overflow_many,
    {
        char *p = block_among(bytes);
        memset(p + bytes, 0x55, 32);
        heap.free(p);
    },
    {
        char *p = block_among(bytes);
        memset(p + bytes - 16, 0x55, 16);
        heap.free(p);
    })

FAULT(
    overflow_realloc,
    {
        char *p = block_among(bytes);
        memset(p + bytes, 0x55, 8);
        heap.free(heap.realloc(p, bytes * 2));
    },
    {
        char *p = block_among(bytes);
        memset(p + bytes - 8, 0x55, 8);
        heap.free(heap.realloc(p, bytes * 2));
    })

FAULT(
    write_after_free,
    {
        char *p = block_among(bytes);
        heap.free(p);
        memset(p, 0x55, 8);
    },
    {
        char *p = block_among(bytes);
        memset(p, 0x55, 8);
        heap.free(p);
    })

FAULT(
    write_after_free_late,
    {
        char *p = block_among(bytes);
        heap.free(p);
        p[bytes - 4] ^= 0x55;
    },
    {
        char *p = block_among(bytes);
        p[bytes - 4] ^= 0x55;
        heap.free(p);
    })

FAULT(
    write_after_realloc,
    {
        char *p = block_among(bytes);
        char *q = heap.realloc(p, bytes * 40);
        if (q == p) {
            inapplicable("realloc did not move the block");
        }
        memset(p, 0x55, 16);
        heap.free(q);
    },
    {
        char *p = block_among(bytes);
        char *q = heap.realloc(p, bytes * 40);
        memset(q, 0x55, 16);
        heap.free(q);
    })

/* Is what was written still there to be read? The first 16 bytes may hold a free list's links. */
static void visible(const char *block, size_t bytes, uint64_t key) {
    char expected[64];
    size_t probe = bytes < sizeof expected ? bytes : sizeof expected;
    pattern_fill(expected, probe, key);
    if (memcmp(block + 16, expected + 16, probe - 16) != 0) {
        _exit(EXIT_REFUSED);
    }
}

FAULT(
    read_after_free,
    {
        char *p = block_among(bytes);
        uint64_t key = pattern_key(p, bytes, 1);
        pattern_fill(p, bytes, key);
        heap.free(p);
        visible(p, bytes, key);
    },
    {
        char *p = block_among(bytes);
        uint64_t key = pattern_key(p, bytes, 1);
        pattern_fill(p, bytes, key);
        visible(p, bytes, key);
        heap.free(p);
    })

FAULT(
    realloc_freed,
    {
        char *p = block_among(bytes);
        heap.free(p);
        p = heap.realloc(p, bytes * 2);
    },
    {
        char *p = block_among(bytes);
        p = heap.realloc(p, bytes * 2);
        heap.free(p);
    })

FAULT(
    realloc_interior,
    {
        char *p = block_among(bytes);
        p = heap.realloc(p + 16, bytes * 2);
    },
    {
        char *p = block_among(bytes);
        p = heap.realloc(p, bytes * 2);
        heap.free(p);
    })

static void delete_sized(void *block, size_t bytes) {
    void (*give)(void *, size_t);
    void *address = heap_symbol("_ZdlPvm");
    if (address == NULL) {
        inapplicable("no library exports sized delete");
    }
    memcpy(&give, &address, sizeof give);
    give(block, bytes);
}

static char *new_block(size_t bytes) {
    char *(*take)(size_t);
    void *address = heap_symbol("_Znwm");
    if (address == NULL) {
        inapplicable("no library exports operator new");
    }
    memcpy(&take, &address, sizeof take);
    return take(bytes);
}

FAULT(
    sized_delete, { delete_sized(new_block(bytes), bytes * 4); },
    { delete_sized(new_block(bytes), bytes); })

static void run_bad(void) {
    const struct misuse *misuse = probe_current()->subject;
    misuse->bad(probe_current()->size);
}

static void run_twin(void) {
    const struct misuse *misuse = probe_current()->subject;
    misuse->twin(probe_current()->size);
}

#define BOTH(IDENTIFIER, NAME, BYTES)                                                              \
    {NAME "-bad", "", run_bad, HIDDEN, &misuse_##IDENTIFIER, BYTES},                               \
        {NAME "-twin", "", run_twin, HIDDEN, &misuse_##IDENTIFIER, BYTES},
#define AT_EVERY_SIZE(IDENTIFIER, NAME, LINE)                                                      \
    BOTH(IDENTIFIER, NAME "-tiny", 24)                                                             \
    BOTH(IDENTIFIER, NAME "-small", 200)                                                           \
    BOTH(IDENTIFIER, NAME "-mid", 5000)                                                            \
    BOTH(IDENTIFIER, NAME "-large", 100000)                                                        \
    BOTH(IDENTIFIER, NAME "-huge", 3000000)
#define ONCE(IDENTIFIER, NAME, LINE) BOTH(IDENTIFIER, NAME, 100)

static const struct probe rows[] = {EACH_SIZED(AT_EVERY_SIZE) EACH_SINGLE(ONCE)};

const struct area misuse_arms_area = AREA("misuse_arms", rows);
