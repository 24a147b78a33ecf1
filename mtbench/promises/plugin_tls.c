/* A library with thread-local storage that arrives late: its first use in a thread makes the
 * loader call malloc (or calloc, or memalign) for the block. */
#include <stddef.h>

static _Thread_local char words[3000] = {1};

char *plugin_words(size_t *bytes);

char *plugin_words(size_t *bytes) {
    *bytes = sizeof words;
    return words;
}
