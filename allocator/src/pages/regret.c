#include "pages/regret.h"
#include "base/os.h"

#include <stdatomic.h>

struct regret {
    _Atomic uint64_t returned; /* given back lately, and not missed yet */
    _Atomic uint64_t allowed;  /* because it was missed */
};

#define SOON_MS 8
static struct regret soon;
static _Atomic uint64_t soon_since_ms;

/* Since the last step of decay. */
static struct regret later;

static uint64_t read(const _Atomic uint64_t *of) {
    return atomic_load_explicit(of, memory_order_relaxed);
}

static void set(_Atomic uint64_t *of, uint64_t n) {
    atomic_store_explicit(of, n, memory_order_relaxed);
}

static void miss(struct regret *regret, uint64_t bytes) {
    uint64_t back = read(&regret->returned), missed = bytes < back ? bytes : back;
    if (missed != 0) {
        set(&regret->returned, back - missed);
        set(&regret->allowed, read(&regret->allowed) + 2 * missed);
    }
}

void regret_missed(size_t bytes) {
    miss(&later, bytes);
    if (read(&soon.returned) != 0 && os_coarse_ms() - read(&soon_since_ms) <= 2 * SOON_MS) {
        miss(&soon, bytes);
    }
}

void regret_returned(size_t bytes) {
    uint64_t now = os_coarse_ms();
    if (now - read(&soon_since_ms) > SOON_MS) {
        set(&soon_since_ms, now);
        set(&soon.returned, 0);
    }
    set(&soon.returned, read(&soon.returned) + bytes);
    set(&later.returned, read(&later.returned) + bytes);
}

uint64_t regret_soon(void) {
    return read(&soon.allowed);
}

uint64_t regret_later(void) {
    return read(&later.allowed);
}

void regret_decay(void) {
    set(&soon.allowed, read(&soon.allowed) / 4 * 3);
    set(&later.allowed, read(&later.allowed) / 4 * 3);
    set(&later.returned, 0);
}
