/*
 * glibc's malloc, but what is freed is kept for its size alone, for ever: the memory policy of a
 * bad cache, and nothing else wrong. FAULTY is "hoards", or anything else for glibc's own policy.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void __libc_free(void *block);

/* Powers of two below 256 KiB, multiples of that above. */
enum { STEP = 256 << 10, POWERS = 18, CLASSES = POWERS + 4096 };

struct chunk {
    struct chunk *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *lists[CLASSES];
static bool hoards;

__attribute__((constructor)) static void choose(void) {
    const char *fault = getenv("FAULTY");
    hoards = fault != NULL && strcmp(fault, "hoards") == 0;
}

/* The largest class whose blocks have at most so many bytes. */
static size_t class_within(size_t bytes) {
    return bytes < STEP ? 63 - (size_t)__builtin_clzl(bytes | 1) : POWERS + bytes / STEP - 1;
}

static size_t bytes_of(size_t class) {
    return class < POWERS ? (size_t)1 << class : (class - POWERS + 1) * STEP;
}

void *malloc(size_t bytes) {
    if (!hoards || bytes > bytes_of(CLASSES - 2)) {
        return __libc_malloc(bytes);
    }
    size_t class = class_within(bytes < 16 ? 16 : bytes);
    class += bytes_of(class) < bytes;
    pthread_mutex_lock(&lock);
    struct chunk *chunk = lists[class];
    if (chunk != NULL) {
        lists[class] = chunk->next;
    }
    pthread_mutex_unlock(&lock);
    return chunk != NULL ? chunk : __libc_malloc(bytes_of(class));
}

void free(void *block) {
    size_t class = block == NULL ? 0 : class_within(malloc_usable_size(block));
    if (!hoards || block == NULL || class >= CLASSES) {
        __libc_free(block);
        return;
    }
    struct chunk *chunk = block;
    pthread_mutex_lock(&lock);
    chunk->next = lists[class];
    lists[class] = chunk;
    pthread_mutex_unlock(&lock);
}
