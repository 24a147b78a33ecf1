/* A library whose ifunc resolver allocates: it runs while the process is still being relocated. */
#include <stdlib.h>
#include <string.h>

enum { BYTES = 100 };

static void *kept;

static int resolved(void) {
    unsigned char *block = kept;
    int whole = block != NULL;
    for (size_t i = 0; whole && i < BYTES; i++) {
        whole = block[i] == 0x42;
    }
    free(block);
    kept = NULL;
    return whole;
}

__attribute__((used)) static int (*resolve(void))(void) {
    free(malloc(3000));
    kept = malloc(BYTES);
    if (kept != NULL) {
        memset(kept, 0x42, BYTES);
    }
    return resolved;
}

static int choose(void) __attribute__((ifunc("resolve")));

int probe_resolved(void);

int probe_resolved(void) {
    return choose(); /* through a slot that the loader fills, by the resolver */
}
