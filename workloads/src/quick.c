#include "quick.h"

char quick_bare_buffer[BARE_BYTES + APART] __attribute__((aligned(APART)));

static void empty_make(uint64_t size) {
    (void)size;
}

static void empty_release(void *address) {
    (void)address;
}

const volatile struct empty_calls quick_empty = {empty_make, empty_release};
