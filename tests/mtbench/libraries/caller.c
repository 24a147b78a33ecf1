/* A program that calls every entry point, says so, and waits to be looked at. Takes the address of
 * malloc, which gives a program linked at a fixed address an entry of its own for it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

void *(*volatile address)(size_t) = malloc;

int main(void) {
    char byte;
    void *aligned = aligned_alloc(64, 64), *placed = NULL;
    free(realloc(calloc(1, 10), 20));
    free(malloc(10));
    free(aligned);
    free(address(10));
    if (posix_memalign(&placed, 64, 64) == 0) {
        free(placed);
    }
    return write(1, "looked?", 7) == 7 && read(0, &byte, 1) >= 0 ? 0 : 1;
}
