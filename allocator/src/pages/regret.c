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
static struct regret later, idle;

static uint64_t read(const _Atomic uint64_t *of) {
    return atomic_load_explicit(of, memory_order_relaxed);
}

static void set(_Atomic uint64_t *of, uint64_t n) {
    atomic_store_explicit(of, n, memory_order_relaxed);
}

static void miss(struct regret *regret, uint64_t bytes, unsigned times) {
    uint64_t back = read(&regret->returned), missed = bytes < back ? bytes : back;
    if (missed != 0) {
        set(&regret->returned, back - missed);
        set(&regret->allowed, read(&regret->allowed) + times * missed);
    }
}

void regret_missed(size_t bytes) {
    miss(&later, bytes, 2);
    if (read(&soon.returned) != 0 && os_coarse_ms() - read(&soon_since_ms) <= 2 * SOON_MS) {
        miss(&soon, bytes, 2);
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

void regret_missed_idle(size_t bytes) {
    miss(&idle, bytes, 1);
}

void regret_returned_idle(size_t bytes) {
    set(&idle.returned, read(&idle.returned) + bytes);
}

uint64_t regret_soon(void) {
    return read(&soon.allowed);
}

uint64_t regret_later(void) {
    return read(&later.allowed);
}

uint64_t regret_idle(void) {
    return read(&idle.allowed);
}

static void fade(struct regret *regret) {
    set(&regret->allowed, read(&regret->allowed) / 4 * 3);
}

void regret_decay(void) {
    fade(&soon);
    fade(&later);
    fade(&idle);
    set(&later.returned, 0);
    set(&idle.returned, 0);
}

void regret_grown(void) {
    fade(&idle);
}
