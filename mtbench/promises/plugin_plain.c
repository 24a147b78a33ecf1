/* A library that allocates and frees when it is called. */
#include <stdlib.h>
#include <string.h>

void *plugin_take(size_t bytes);
void *plugin_resize(void *block, size_t bytes);
char *plugin_copy(const char *text);
void plugin_drop(void *block);

void *plugin_take(size_t bytes) {
    void *block = malloc(bytes);
    if (block != NULL) {
        memset(block, 0x42, bytes);
    }
    return block;
}

void *plugin_resize(void *block, size_t bytes) {
    return realloc(block, bytes);
}

char *plugin_copy(const char *text) {
    return strdup(text); /* libc calls malloc, not this library */
}

void plugin_drop(void *block) {
    free(block);
}
