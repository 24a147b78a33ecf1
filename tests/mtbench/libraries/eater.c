/* Takes 512 MiB and keeps them. */
#include <string.h>
#include <sys/mman.h>
#include "forward.h"

static void on_malloc(unsigned long count) {
    if (count > 100000 && count <= 100512) {
        void *block =
            mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block != MAP_FAILED) {
            memset(block, 1, 1 << 20);
        }
    }
}
