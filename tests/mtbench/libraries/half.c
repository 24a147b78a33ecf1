/* Serves malloc only: the rest stays with libc. */
#include <stddef.h>

void *__libc_malloc(size_t size);

void *malloc(size_t size) {
    return __libc_malloc(size);
}
