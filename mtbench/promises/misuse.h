/*
 * Misuse programs: each commits one fault on a block of a given size; its benign twin does the
 * same without the fault. Both run in a process of their own, so that the fault's end (a message
 * and a signal, a crash by accident, or nothing) can be told from outside.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include <stddef.h>

struct misuse {
    void (*bad)(size_t bytes);
    void (*twin)(size_t bytes);
};

/* How a misuse program says that the fault was met by a refusal (NULL, or bytes made unreadable)
 * rather than by a stop. */
enum { EXIT_REFUSED = 40 };

/* What a program does after its fault, and what gives a checking allocator its chance: it takes
 * and frees blocks of that size and of others, and gives memory back. */
void misuse_life_goes_on(size_t bytes);

/* FAULT(identifier, {bad}, {twin}): both bodies see `bytes`, and differ in the fault alone. */
#define FAULT(IDENTIFIER, BAD, TWIN)                                                               \
    static void IDENTIFIER##_bad(size_t bytes) {                                                   \
        (void)bytes;                                                                               \
        BAD;                                                                                       \
        misuse_life_goes_on(bytes);                                                                \
    }                                                                                              \
    static void IDENTIFIER##_twin(size_t bytes) {                                                  \
        (void)bytes;                                                                               \
        TWIN;                                                                                      \
        misuse_life_goes_on(bytes);                                                                \
    }                                                                                              \
    const struct misuse misuse_##IDENTIFIER = {IDENTIFIER##_bad, IDENTIFIER##_twin};

/* EACH_SIZED(X): X(identifier, "name", "line") for the faults that are tried at every size;
 * EACH_SINGLE(X): for those without a size. */
#define EACH_SIZED(X)                                                                              \
    X(double_free, "double-free", "a block freed twice at once")                                   \
    X(double_free_delayed, "double-free-delayed", "a block freed again after twenty others")       \
    X(double_free_interleaved, "double-free-interleaved", "free a, free b, free a")                \
    X(double_free_reused, "double-free-reused",                                                    \
      "a stale pointer freed after its memory was reused")                                         \
    X(double_free_thread, "double-free-thread", "a block freed by a thread and then by main")      \
    X(interior, "free-interior", "a pointer 16 bytes into a block")                                \
    X(interior_odd, "free-interior-odd", "a pointer one byte into a block")                        \
    X(interior_end, "free-interior-end", "a pointer to the last 16 bytes of a block")              \
    X(aligned_interior, "free-aligned-interior", "a pointer 16 bytes into an aligned block")       \
    X(underflow_one, "underflow-1", "the byte before a block overwritten")                         \
    X(underflow_many, "underflow-32", "32 bytes before a block overwritten")                       \
    X(overflow_one, "overflow-1", "the byte after a block overwritten")                            \
    X(overflow_many, "overflow-32", "32 bytes after a block overwritten")                          \
    X(overflow_realloc, "overflow-realloc", "an overflow by 8 bytes met by realloc")               \
    X(write_after_free, "write-after-free", "8 bytes written at the start of a freed block")       \
    X(write_after_free_late, "write-after-free-middle", "a byte written late in a freed block")    \
    X(write_after_realloc, "write-after-realloc", "the old place of a moved block written")        \
    X(read_after_free, "read-after-free", "a freed block still holds its bytes")                   \
    X(realloc_freed, "realloc-freed", "realloc of a freed block")                                  \
    X(realloc_interior, "realloc-interior", "realloc of a pointer 16 bytes into a block")          \
    X(sized_delete, "sized-delete", "sized delete with four times the size")
#define EACH_SINGLE(X)                                                                             \
    X(free_stack, "free-stack", "free of a local array")                                           \
    X(free_global, "free-global", "free of a global array")                                        \
    X(free_literal, "free-literal", "free of a string literal")                                    \
    X(free_mapped, "free-mapped", "free of a page the program mapped itself")                      \
    X(free_wild, "free-wild", "free of a wild pointer")                                            \
    X(free_small_number, "free-small-number", "free of a small number")                            \
    X(free_code, "free-code", "free of a function")                                                \
    X(realloc_stack, "realloc-stack", "realloc of a local array")                                  \
    X(realloc_mapped, "realloc-mapped", "realloc of a page the program mapped itself")             \
    X(impossible_malloc, "impossible-malloc", "malloc of a negative number")                       \
    X(impossible_calloc, "impossible-calloc", "calloc of a product that wraps to a small one")     \
    X(impossible_realloc, "impossible-realloc", "realloc to a negative number")                    \
    X(impossible_alignment, "impossible-alignment", "memalign of a size that wraps when aligned")
#define DECLARE(IDENTIFIER, NAME, LINE) extern const struct misuse misuse_##IDENTIFIER;
EACH_SIZED(DECLARE)
EACH_SINGLE(DECLARE)
#undef DECLARE

#endif
