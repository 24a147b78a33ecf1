/* A library that allocates when it is called. */
#include <stdlib.h>
#include <string.h>

void *plugin_take(size_t bytes);

void *plugin_take(size_t bytes) {
    void *block = malloc(bytes);
    if (block != NULL)
        memset(block, 0x42, bytes);
    return block;
}
