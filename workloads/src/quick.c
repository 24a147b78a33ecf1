#include "quick.h"

char quick_bare_buffer[BARE_BYTES + APART] __attribute__((aligned(APART)));
