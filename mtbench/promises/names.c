/* One heap whatever name it is called by: glibc's other names, and a library that binds deeply. */
#include <dlfcn.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "plugins.h"

/* What a program from before glibc 2.26 calls; no header and no newer link has it. */
#if defined __aarch64__
__asm__(".symver old_cfree,cfree@GLIBC_2.17");
#else
__asm__(".symver old_cfree,cfree@GLIBC_2.2.5");
#endif
extern void old_cfree(void *block);

static const size_t sizes[] = {1, 100, 3000, 20000, 200000, 3000000};
enum { SIZES = sizeof sizes / sizeof sizes[0], ROUNDS = 8 };

/* The function of that name into *function, a pointer to a function pointer. */
static void find(const char *name, void *function) {
    void *address = heap_symbol(name);
    if (address == NULL) {
        inapplicable("this libc has no %s", name);
    }
    memcpy(function, &address, sizeof address);
}

/* Each may be given to every function of the heap. */
static void serves(void *block, size_t bytes, const char *name) {
    REQUIRE(block != NULL, "%s of %zu bytes = NULL", name, bytes);
    REQUIRE(heap.malloc_usable_size(block) >= bytes, "%s of %zu bytes has %zu usable bytes", name,
            bytes, heap.malloc_usable_size(block));
    uint64_t key = pattern_key(block, bytes, 1);
    pattern_fill(block, bytes, key);
    void *moved = heap.realloc(block, bytes * 2);
    REQUIRE(moved != NULL, "realloc of a block of %s = NULL", name);
    size_t wrong = pattern_check(moved, bytes, key);
    REQUIRE(wrong == bytes, "realloc of a block of %s lost byte %zu", name, wrong);
    heap.free(moved);
}

static void each_size(void (*try)(size_t bytes)) {
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t s = 0; s < SIZES; s++) {
            try(sizes[s]);
        }
    }
}

static void try_other_malloc(size_t bytes) {
    void *(*take)(size_t);
    find("__libc_malloc", &take);
    serves(take(bytes), bytes, "__libc_malloc");
}

static void try_other_calloc(size_t bytes) {
    void *(*take)(size_t, size_t);
    find("__libc_calloc", &take);
    unsigned char *block = take(bytes, 1);
    REQUIRE(block == NULL || pattern_constant(block, bytes, 0) == bytes,
            "__libc_calloc of %zu bytes is not zero", bytes);
    serves(block, bytes, "__libc_calloc");
}

static void try_other_realloc(size_t bytes) {
    void *(*resize)(void *, size_t);
    find("__libc_realloc", &resize);
    unsigned char *block = heap.malloc(bytes);
    uint64_t key = pattern_key(block, bytes, 1);
    pattern_fill(block, bytes, key);
    unsigned char *moved = resize(block, bytes * 3);
    REQUIRE(moved != NULL, "__libc_realloc to %zu bytes = NULL", bytes * 3);
    size_t wrong = pattern_check(moved, bytes, key);
    REQUIRE(wrong == bytes, "__libc_realloc lost byte %zu of %zu", wrong, bytes);
    serves(moved, bytes * 3, "__libc_realloc");
}

static void try_other_memalign(size_t bytes) {
    void *(*take)(size_t, size_t);
    find("__libc_memalign", &take);
    for (size_t alignment = 16; alignment <= 64 * KIB; alignment *= 16) {
        void *block = take(alignment, bytes);
        REQUIRE((uintptr_t)block % alignment == 0, "__libc_memalign(%zu) = %p", alignment, block);
        serves(block, bytes, "__libc_memalign");
    }
}

static void try_other_pages(size_t bytes) {
    static const char *const names[] = {"__libc_valloc", "__libc_pvalloc"};
    for (size_t i = 0; i < 2; i++) {
        void *(*take)(size_t);
        find(names[i], &take);
        void *block = take(bytes);
        REQUIRE((uintptr_t)block % memory_page() == 0, "%s = %p", names[i], block);
        serves(block, bytes, names[i]);
    }
}

static void dropped_by(void (*drop)(void *), const char *name) {
    size_t before = memory_resident();
    for (size_t i = 0; i < effort(1000, 200); i++) {
        for (size_t s = 0; s < SIZES; s++) {
            unsigned char *block = heap.malloc(sizes[s]);
            REQUIRE(block != NULL, "malloc(%zu) = NULL", sizes[s]);
            memset(block, 1, sizes[s]);
            drop(block);
        }
    }
    size_t after = memory_resident();
    REQUIRE(after < before + (size_t)128 * MIB, "%s does not free: %zu MiB more", name,
            (after - before) / MIB);
}

static void other_malloc(void) {
    each_size(try_other_malloc);
}

static void other_calloc(void) {
    each_size(try_other_calloc);
}

static void other_realloc(void) {
    each_size(try_other_realloc);
}

static void other_memalign(void) {
    each_size(try_other_memalign);
}

static void other_pages(void) {
    each_size(try_other_pages);
}

static void other_free(void) {
    void (*drop)(void *);
    find("__libc_free", &drop);
    dropped_by(drop, "__libc_free");
}

static void old_name(void) {
    dropped_by(old_cfree, "cfree");
}

/* A library opened so looks its names up in itself and in what it was linked with, libc, before
 * what is preloaded. */
struct deep {
    void *(*take)(size_t);
    void *(*resize)(void *, size_t);
    char *(*copy)(const char *);
    void (*drop)(void *);
};

static struct deep open_deep(void) {
    struct deep deep;
    void *library = plugin_open("plain", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    plugin_function(library, "plugin_take", &deep.take);
    plugin_function(library, "plugin_resize", &deep.resize);
    plugin_function(library, "plugin_copy", &deep.copy);
    plugin_function(library, "plugin_drop", &deep.drop);
    return deep;
}

static void freed_outside(void) {
    struct deep deep = open_deep();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t s = 0; s < SIZES; s++) {
            heap.free(deep.copy("a text of the plug-in"));
            serves(deep.take(sizes[s]), sizes[s], "a plug-in's malloc");
        }
    }
}

static void freed_inside(void) {
    struct deep deep = open_deep();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t s = 0; s < SIZES; s++) {
            struct block block;
            block_take(&block, (enum kind)(round % KINDS), sizes[s], 1);
            block_check(&block);
            deep.drop(block.at);
            block_take(&block, (enum kind)(round % KINDS), sizes[s], 1);
            unsigned char *moved = deep.resize(block.at, sizes[s] * 2);
            size_t wrong = pattern_check(moved, sizes[s], block.key);
            REQUIRE(wrong == sizes[s], "a plug-in's realloc lost byte %zu of %zu", wrong, sizes[s]);
            heap.free(moved);
        }
    }
}

static const struct probe rows[] = {
    ROW("libc-malloc", "blocks of __libc_malloc may be resized and freed as any", other_malloc,
        QUICK),
    ROW("libc-calloc", "blocks of __libc_calloc are zero and may be resized and freed",
        other_calloc, QUICK),
    ROW("libc-realloc", "__libc_realloc takes any block and gives one that may be freed",
        other_realloc, QUICK),
    ROW("libc-memalign", "blocks of __libc_memalign are aligned and may be resized and freed",
        other_memalign, QUICK),
    ROW("libc-pages", "blocks of __libc_valloc and __libc_pvalloc may be resized and freed",
        other_pages, QUICK),
    ROW("libc-free", "__libc_free frees the blocks of malloc", other_free, QUICK),
    ROW("cfree", "what an old program frees by cfree is freed", old_name, QUICK),
    ROW("deepbind-out", "blocks of a library opened with RTLD_DEEPBIND may be freed outside it",
        freed_outside, QUICK),
    ROW("deepbind-in", "a library opened with RTLD_DEEPBIND may free blocks of the program",
        freed_inside, QUICK),
};

const struct area names_area = AREA("names", rows);
