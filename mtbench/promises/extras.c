/* glibc's extra functions, and libc functions whose blocks free must take. */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "areas.h"
#include "block.h"
#include "heap.h"
#include "memory.h"

static const char *const allocating[] = {
    "malloc",         "calloc",        "realloc", "free",    "memalign",
    "posix_memalign", "aligned_alloc", "valloc",  "pvalloc", "malloc_usable_size",
};
static const char *const informing[] = {
    "malloc_trim", "mallopt",      "mallinfo",     "mallinfo2",
    "malloc_info", "malloc_stats", "reallocarray",
};

static void present(void) {
    for (size_t i = 0; i < sizeof allocating / sizeof allocating[0]; i++) {
        REQUIRE(heap_symbol(allocating[i]) != NULL, "no library exports %s", allocating[i]);
    }
    for (size_t i = 0; i < sizeof informing / sizeof informing[0]; i++) {
        if (strcmp(informing[i], "mallinfo2") != 0 || heap_symbol("gnu_get_libc_version") != NULL) {
            REQUIRE(heap_symbol(informing[i]) != NULL, "no library exports %s", informing[i]);
        }
    }
}

static void one_library(void) {
    const char *owner = heap_origin("malloc");
    for (size_t i = 0; i < sizeof allocating / sizeof allocating[0]; i++) {
        const char *origin = heap_origin(allocating[i]);
        REQUIRE(origin != NULL && strcmp(origin, owner) == 0, "malloc is %s's, %s is %s's", owner,
                allocating[i], origin == NULL ? "nobody" : origin);
    }
}

/* Statistics that answer for this allocator notice 64 MiB in small blocks and in one. */
static void counts(size_t (*in_use)(void), const char *name) {
    enum { COUNT = 16384 };
    void **held = memory_pages(COUNT * sizeof *held);
    size_t before = in_use();
    for (size_t i = 0; i < COUNT; i++) {
        held[i] = heap.malloc(2000);
        memset(held[i], 1, 2000);
    }
    size_t with_small = in_use();
    REQUIRE(with_small >= before + (size_t)COUNT * 1900,
            "%s: 31 MiB more in use, but it tells of %zd", name, (ssize_t)(with_small - before));
    char *huge = heap.malloc((size_t)32 * MIB);
    huge[0] = 1;
    size_t with_huge = in_use();
    REQUIRE(with_huge >= with_small + (size_t)31 * MIB,
            "%s: a 32 MiB block more, but it tells of %zd bytes", name,
            (ssize_t)(with_huge - with_small));
    heap.free(huge);
    for (size_t i = 0; i < COUNT; i++) {
        heap.free(held[i]);
    }
    size_t after = in_use();
    REQUIRE(after < before + (size_t)8 * MIB, "%s: all is freed, but it tells of %zu MiB in use",
            name, (after - before) / MIB);
}

static size_t by_mallinfo(void) {
    struct mallinfo (*ask)(void);
    void *address = heap_symbol("mallinfo");
    memcpy(&ask, &address, sizeof ask);
    struct mallinfo now = ask();
    return (size_t)(unsigned)now.uordblks + (size_t)(unsigned)now.hblkhd;
}

struct mallinfo2_words { /* glibc 2.33's struct, so that older headers serve */
    size_t word[10];
};

static size_t by_mallinfo2(void) {
    struct mallinfo2_words (*ask)(void);
    void *address = heap_symbol("mallinfo2");
    memcpy(&ask, &address, sizeof ask);
    struct mallinfo2_words now = ask();
    enum { HBLKHD = 4, UORDBLKS = 7 };
    return now.word[UORDBLKS] + now.word[HBLKHD];
}

static void mallinfo_answers(void) {
    REQUIRE(heap_symbol("mallinfo") != NULL, "no library exports mallinfo");
    counts(by_mallinfo, "mallinfo");
}

static void mallinfo2_answers(void) {
    if (heap_symbol("mallinfo2") == NULL) {
        inapplicable("this libc has no mallinfo2");
    }
    counts(by_mallinfo2, "mallinfo2");
}

static void info_is_xml(void) {
    static char text[1 << 20];
    REQUIRE(heap.malloc_info != NULL, "no library exports malloc_info");
    FILE *stream = fmemopen(text, sizeof text, "w");
    errno = 0;
    int result = heap.malloc_info(0, stream);
    REQUIRE(result == 0, "malloc_info(0) returned %d", result);
    fclose(stream);
    REQUIRE(strstr(text, "<malloc") != NULL && strstr(text, "</malloc>") != NULL,
            "malloc_info wrote no <malloc> element");
    stream = tmpfile();
    if (stream != NULL) {
        errno = 0;
        REQUIRE(heap.malloc_info(1, stream) != 0, "malloc_info(1) is not refused");
        fclose(stream);
    }
}

static void stats_speak(void) {
    REQUIRE(heap.malloc_stats != NULL, "no library exports malloc_stats");
    int ends[2], saved = dup(2);
    REQUIRE(saved >= 0 && pipe(ends) == 0, "dup, pipe: %s", strerror(errno));
    dup2(ends[1], 2);
    void *held = heap.malloc(100);
    heap.malloc_stats();
    fflush(stderr);
    dup2(saved, 2);
    close(ends[1]);
    char text[256];
    REQUIRE(read(ends[0], text, sizeof text) > 0, "malloc_stats wrote nothing on stderr");
    heap.free(held);
}

static void options_are_safe(void) {
    REQUIRE(heap.mallopt != NULL, "no library exports mallopt");
    static const int names[] = {
        M_MXFAST,       M_TRIM_THRESHOLD, M_TOP_PAD,    M_MMAP_THRESHOLD, M_MMAP_MAX,
        M_CHECK_ACTION, M_PERTURB,        M_ARENA_TEST, M_ARENA_MAX,      12345};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int value = names[i] == M_CHECK_ACTION || names[i] == M_PERTURB ? 0 : 128 * KIB;
        heap.mallopt(names[i], value);
        struct block block;
        for (size_t bytes = 1; bytes < 2000000; bytes = bytes * 5 + 1) {
            block_take(&block, BY_MALLOC, bytes, 1);
            block_drop(&block);
        }
    }
}

static void trim_is_safe(void) {
    struct block blocks[200];
    uint64_t random = 41;
    for (size_t round = 0; round < 50; round++) {
        for (size_t i = 0; i < 200; i++) {
            block_take(&blocks[i], BY_MALLOC, block_size_draw(&random, 256 * KIB), 1);
        }
        for (size_t i = 0; i < 200; i += 2) {
            block_drop(&blocks[i]);
        }
        int result = heap.malloc_trim(round * 1000);
        REQUIRE(result == 0 || result == 1, "malloc_trim returned %d", result);
        for (size_t i = 1; i < 200; i += 2) {
            block_drop(&blocks[i]);
        }
    }
}

static void text_functions(void) {
    for (int i = 0; i < 1000; i++) {
        char *text = strdup("a block of libc's"), *formatted = NULL;
        REQUIRE(text != NULL && strcmp(text, "a block of libc's") == 0, "strdup");
        heap.free(text);
        text = strndup("a block", 3);
        REQUIRE(text != NULL && strcmp(text, "a b") == 0, "strndup");
        heap.free(text);
        REQUIRE(asprintf(&formatted, "%0*d", i, 7) >= 0, "asprintf");
        heap.free(formatted);
        wchar_t *wide = wcsdup(L"wide");
        REQUIRE(wide != NULL && wcscmp(wide, L"wide") == 0, "wcsdup");
        heap.free(wide);
    }
}

static void path_functions(void) {
    for (int i = 0; i < 200; i++) {
        char *path = realpath("/proc/self/../self", NULL);
        REQUIRE(path != NULL, "realpath: %s", strerror(errno));
        heap.free(path);
        path = getcwd(NULL, 0);
        REQUIRE(path != NULL, "getcwd: %s", strerror(errno));
        heap.free(path);
    }
}

static void stream_functions(void) {
    for (int i = 0; i < 100; i++) {
        char *text = NULL, *line = NULL;
        size_t length = 0, capacity = 0;
        FILE *stream = open_memstream(&text, &length);
        REQUIRE(stream != NULL, "open_memstream: %s", strerror(errno));
        for (int j = 0; j < 500; j++) {
            fprintf(stream, "line %d of a growing stream\n", j);
        }
        fclose(stream);
        REQUIRE(length > 10000, "open_memstream holds %zu bytes", length);
        stream = fmemopen(text, length, "r");
        size_t lines = 0;
        while (getline(&line, &capacity, stream) > 0) {
            lines++;
        }
        fclose(stream);
        REQUIRE(lines == 500, "getline saw %zu lines", lines);
        heap.free(line);
        heap.free(text);
        line = heap.malloc(1); /* getline must be able to grow our own block */
        capacity = 1;
        stream = fopen("/proc/self/status", "r");
        REQUIRE(stream != NULL && getline(&line, &capacity, stream) > 0, "getline grew nothing");
        fclose(stream);
        heap.free(line);
    }
}

static void array_function(void) {
    REQUIRE(heap.reallocarray != NULL, "no library exports reallocarray");
    unsigned char *array = NULL;
    for (size_t count = 1; count < 3000; count += 7) {
        array = heap.reallocarray(array, count, 24);
        REQUIRE(array != NULL, "reallocarray(%zu, 24) = NULL", count);
        memset(array + (count - 1) * 24, 0x3c, 24);
    }
    heap.free(array);
}

static const struct probe rows[] = {
    ROW("present", "all of glibc's malloc functions exist", present, QUICK),
    ROW("one-library", "every allocating symbol comes from the library malloc comes from",
        one_library, QUICK),
    ROW("mallinfo", "mallinfo answers for this allocator", mallinfo_answers, QUICK),
    ROW("mallinfo2", "mallinfo2 answers for this allocator", mallinfo2_answers, QUICK),
    ROW("malloc_info", "malloc_info writes XML, and refuses unknown options", info_is_xml, QUICK),
    ROW("malloc_stats", "malloc_stats is safe and writes on stderr", stats_speak, QUICK),
    ROW("mallopt", "mallopt is safe with known and unknown options", options_are_safe, QUICK),
    ROW("malloc_trim", "malloc_trim is safe at any moment and returns 0 or 1", trim_is_safe, QUICK),
    ROW("text", "strdup, strndup, wcsdup, asprintf give blocks that free takes", text_functions,
        QUICK),
    ROW("paths", "realpath(NULL) and getcwd(NULL) give blocks that free takes", path_functions,
        QUICK),
    ROW("streams", "getline and open_memstream take and give blocks that free takes",
        stream_functions, QUICK),
    ROW("reallocarray", "reallocarray grows arrays", array_function, QUICK),
};

const struct area extras_area = AREA("extras", rows);
