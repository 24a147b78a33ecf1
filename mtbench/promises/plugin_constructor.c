/* A library that allocates in its constructor and frees in its destructor. */
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 };

static void *blocks[BLOCKS];

__attribute__((constructor)) static void take_blocks(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc((i + 1) * 100);
        if (blocks[i] == NULL) {
            abort();
        }
        memset(blocks[i], 0x42, (i + 1) * 100);
    }
}

__attribute__((destructor)) static void free_blocks(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}
