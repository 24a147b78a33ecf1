/* A malloc that breaks one promise, named by FAULT, at every 500th call of the worker threads. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

static _Atomic unsigned long calls;
static __thread int standing;
static __thread char *last;

static bool in_worker(void) {
    if (!standing) {
        standing = syscall(SYS_gettid) == getpid() ? 1 : 2;
    }
    return standing == 2;
}

static bool due(const char *fault) {
    const char *chosen = getenv("FAULT");
    return chosen != NULL && strcmp(chosen, fault) == 0;
}

void *malloc(size_t size) {
    if (!in_worker()) {
        return __libc_malloc(size);
    }
    bool now = atomic_fetch_add(&calls, 1) % 500 == 499;
    if (now && last != NULL && due("double")) {
        return last;
    }
    if (now && due("null")) {
        return NULL;
    }
    char *block = __libc_malloc(size + 16);
    if (now && due("misaligned")) {
        return block + 4;
    }
    if (now && last != NULL && due("scribble")) {
        last[size / 2] ^= 1;
    }
    last = block;
    return block;
}

void *calloc(size_t count, size_t size) {
    char *block = __libc_calloc(count, size);
    if (in_worker() && count == 1 && size > 64 && due("dirty")) {
        block[size - 1] = 7;
    }
    return block;
}

void *realloc(void *block, size_t size) {
    if (in_worker() && atomic_fetch_add(&calls, 1) % 500 == 499 && due("null")) {
        return NULL;
    }
    char *moved = __libc_realloc(block, size);
    if (in_worker() && size > 64 && due("forgetful")) {
        moved[32] ^= 1;
    }
    return moved;
}

/* Workers' blocks are kept, so that a block given out twice is not also freed twice. */
void free(void *block) {
    if (!in_worker()) {
        __libc_free(block);
    }
}
