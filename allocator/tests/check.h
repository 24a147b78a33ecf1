/* check: what a unit test here is made of.
 *
 *   PROMISE(a_freed_run_is_found_again) { CHECK(...); }
 *
 * A promise is a function whose name says what holds. A test program runs all of its promises, or
 * those whose names contain its first argument, and ends with 1 at the first that is broken. Those
 * that CHECK_WITHOUT names (emulation.cmake) are left out. A PART is run only by child_again
 * (child.h), in a process of its own.
 */
#ifndef CHECK_H
#define CHECK_H

#include "face/init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_MOST 64

struct check_entry {
    const char *name;
    void (*run)(void);
};

static struct check_entry check_promises[CHECK_MOST], check_parts[CHECK_MOST];
static int check_promise_count, check_part_count;
static char *check_program;

#define CHECK_ENTRY(list, count, name)                                                             \
    static void name(void);                                                                        \
    __attribute__((constructor)) static void enter_##name(void) {                                  \
        list[count++] = (struct check_entry){#name, name};                                         \
    }                                                                                              \
    static void name(void)

#define PROMISE(name) CHECK_ENTRY(check_promises, check_promise_count, name)
#define PART(name) CHECK_ENTRY(check_parts, check_part_count, name)

/* _Exit, because a broken promise may be found in any thread, or in the child of a fork. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define CHECK_EQUAL(found, expected)                                                               \
    do {                                                                                           \
        unsigned long long found_ = (unsigned long long)(found),                                   \
                           expected_ = (unsigned long long)(expected);                             \
        if (found_ != expected_) {                                                                 \
            fprintf(stderr, "%s:%d: broken: %s is %llu, expected %s = %llu\n", __FILE__, __LINE__, \
                    #found, found_, #expected, expected_);                                         \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* True where a sanitizer's own runtime makes something impossible (an address space limit), or
 * slow: then tests do less of the same. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A cheap generator of repeatable numbers (xorshift). Seed it with anything but 0. */
static inline unsigned long long check_random(unsigned long long *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Takes the promises of a list, "one,another", out. False if there is none of a name. */
static bool check_leave_out(char *names) {
    bool found = true;
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name != NULL && found;
         name = strtok_r(NULL, ",", &rest)) {
        found = false;
        for (int i = 0; i < check_promise_count && !found; i++) {
            if (strcmp(check_promises[i].name, name) == 0) {
                check_promises[i].run = NULL;
                found = true;
            }
        }
        if (!found) {
            fprintf(stderr, "CHECK_WITHOUT=%s: no such promise\n", name);
        }
    }
    return found;
}

int main(int argc, char **argv) {
    check_program = argv[0];
    init_ensure();
    if (argc == 3 && strcmp(argv[1], "--part") == 0) {
        for (int i = 0; i < check_part_count; i++) {
            if (strcmp(check_parts[i].name, argv[2]) == 0) {
                check_parts[i].run();
                return 0;
            }
        }
        return 2;
    }
    char *without = getenv("CHECK_WITHOUT");
    if (without != NULL && !check_leave_out(without)) {
        return 2;
    }
    for (int i = 0; i < check_promise_count; i++) {
        if (check_promises[i].run == NULL) {
            printf("left out: %s\n", check_promises[i].name);
        } else if (argc < 2 || strstr(check_promises[i].name, argv[1]) != NULL) {
            printf("%s\n", check_promises[i].name);
            fflush(stdout);
            check_promises[i].run();
        }
    }
    return 0;
}

#endif
