#include "pages.h"

#include <sys/mman.h>

/* Stands on a page of its own before what it describes, which so stays page-aligned. */
struct region {
    struct region *before;
    size_t bytes;
};

enum { PAGE = 4096 };

void *pages_take(struct pages *pages, size_t bytes) {
    if (bytes > ((size_t)1 << 46)) {
        return NULL;
    }
    size_t whole = ((bytes + PAGE - 1) & ~(size_t)(PAGE - 1)) + PAGE;
    struct region *region = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (region == MAP_FAILED) {
        return NULL;
    }
    region->before = pages->last;
    region->bytes = whole;
    pages->last = region;
    pages->taken += whole;
    return (char *)region + PAGE;
}

void pages_return(struct pages *pages) {
    while (pages->last != NULL) {
        struct region *region = pages->last;
        pages->last = region->before;
        munmap(region, region->bytes);
    }
    pages->taken = 0;
}
