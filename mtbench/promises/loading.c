/* The loader and malloc call each other: libraries that come and go while threads allocate. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "areas.h"
#include "block.h"
#include "busy.h"
#include "heap.h"
#include "memory.h"
#include "pattern.h"
#include "plugins.h"
#include "team.h"

static void under_load(void (*work)(void)) {
    busy_begin(3, 32 * KIB);
    work();
    busy_end();
}

static void open_and_close(void) {
    for (size_t i = 0; i < effort(400, 100); i++) {
        void *library = plugin_open("plain", RTLD_NOW);
        void *(*take)(size_t);
        plugin_function(library, "plugin_take", &take);
        heap.free(take(i * 10 + 1));
        dlclose(library);
    }
}

static void dlopen_loop(void) {
    under_load(open_and_close);
}

static void open_with_constructor(void) {
    for (size_t i = 0; i < effort(400, 100); i++) {
        dlclose(plugin_open("constructor", RTLD_NOW));
    }
}

static void constructor_allocates(void) {
    under_load(open_with_constructor);
}

static char *(*words_of_thread)(size_t *);

static void *use_words(void *argument) {
    size_t bytes;
    char *words = words_of_thread(&bytes);
    (void)argument;
    REQUIRE(words[0] == 1 && pattern_constant(words + 1, bytes - 1, 0) == bytes - 1,
            "thread-local storage of a late library is not as initialised");
    memset(words, 0x33, bytes);
    heap.free(heap.malloc(100));
    words = words_of_thread(&bytes);
    REQUIRE(pattern_constant(words, bytes, 0x33) == bytes, "thread-local storage changed");
    return NULL;
}

static void open_with_tls(void) {
    for (size_t i = 0; i < effort(60, 20); i++) {
        void *library = plugin_open("tls", RTLD_NOW);
        plugin_function(library, "plugin_words", &words_of_thread);
        for (int j = 0; j < 8; j++) {
            thread_join(thread_start(use_words, NULL));
        }
        use_words(NULL);
        dlclose(library);
    }
}

static void late_tls(void) {
    under_load(open_with_tls);
}

static int allocate_in_callback(struct dl_phdr_info *information, size_t size, void *count) {
    (void)information;
    (void)size;
    struct block block;
    block_take(&block, BY_MALLOC, 100 + *(size_t *)count, 1);
    block_resize(&block, 5000, 1);
    block_drop(&block);
    ++*(size_t *)count;
    return 0;
}

static void iterate(void) {
    for (size_t i = 0; i < effort(1000, 300); i++) {
        size_t count = 0;
        dl_iterate_phdr(allocate_in_callback, &count);
    }
}

static void callbacks_allocate(void) {
    under_load(iterate);
}

/* A thread whose first allocation happens under the loader's lock, while another thread is in
 * dlopen with the allocator's own first-use path on its stack: two locks in both orders. */
static void *first_in_callback(void *argument) {
    size_t count = (size_t)(uintptr_t)argument;
    dl_iterate_phdr(allocate_in_callback, &count);
    return NULL;
}

static void *first_in_thread(void *argument) {
    struct block block;
    block_take(&block, BY_MALLOC, (size_t)(uintptr_t)argument + 1, 1);
    block_drop(&block);
    return NULL;
}

static atomic_int stopping;

static void *opens_and_closes(void *argument) {
    (void)argument;
    while (!atomic_load(&stopping)) {
        dlclose(plugin_open("constructor", RTLD_NOW));
    }
    return NULL;
}

static void first_under_loader_lock(void) {
    pthread_t opener = thread_start_with_stack(opens_and_closes, NULL, 256 * KIB);
    for (size_t i = 0; i < effort(1500, 400); i++) {
        pthread_t in_callback = thread_start(first_in_callback, (void *)(i % 100));
        pthread_t plain = thread_start(first_in_thread, (void *)(i % 100));
        thread_join(in_callback);
        thread_join(plain);
    }
    atomic_store(&stopping, 1);
    thread_join(opener);
}

struct tls_demand {
    ElfW(Addr) inside; /* an address of the library asked about */
    size_t bytes;
    bool is_static;
};

static int measure_tls(struct dl_phdr_info *information, size_t size, void *argument) {
    struct tls_demand *demand = argument;
    const ElfW(Dyn) *dynamic = NULL;
    size_t bytes = 0;
    bool ours = false;
    (void)size;
    for (int i = 0; i < information->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &information->dlpi_phdr[i];
        ElfW(Addr) start = information->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && demand->inside >= start &&
            demand->inside < start + header->p_memsz) {
            ours = true;
        } else if (header->p_type == PT_TLS) {
            bytes = header->p_memsz;
        } else if (header->p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)start;
        }
    }
    if (!ours) {
        return 0;
    }
    demand->bytes = bytes;
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_FLAGS && (dynamic->d_un.d_val & DF_STATIC_TLS) != 0) {
            demand->is_static = true;
        }
    }
    return 1;
}

/* The loader keeps a small surplus for libraries that are loaded late with static TLS; a malloc
 * that takes it leaves none for others, and cannot be opened late itself. */
static void little_static_tls(void) {
    enum { FEW_DOZEN = 128 };
    if (probe_served_by() == NULL || strcmp(probe_served_by(), "system") == 0) {
        inapplicable("nothing is preloaded");
    }
    struct tls_demand demand = {.inside = (ElfW(Addr))heap_symbol("malloc")};
    dl_iterate_phdr(measure_tls, &demand);
    REQUIRE(!demand.is_static || demand.bytes <= FEW_DOZEN,
            "the library takes %zu bytes of static TLS", demand.bytes);
}

static const struct probe rows[] = {
    ROW("dlopen-loop", "dlopen and dlclose in a loop under load", dlopen_loop, SLOW),
    ROW("constructor", "a library that allocates in its constructor", constructor_allocates, SLOW),
    ROW("late-tls", "thread-local storage of a library that is loaded late", late_tls, SLOW),
    ROW("iterate-phdr", "dl_iterate_phdr callbacks may allocate", callbacks_allocate, QUICK),
    ROW("first-allocation",
        "a thread's first allocation in such a callback, while another thread is in dlopen",
        first_under_loader_lock, SLOW),
    ROW("static-tls", "preloading takes no more than 128 bytes of static TLS", little_static_tls,
        QUICK),
};

const struct area loading_area = AREA("loading", rows);
