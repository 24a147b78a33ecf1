/*
 * operator new and delete, probed from C through their mangled names, so that the build needs no
 * C++ compiler. libstdc++ is preloaded behind the library under test by starting this executable
 * afresh; whose operators then serve is decided as in any C++ program.
 *
 * An exception that meets no handler ends in std::terminate; there the type of the exception in
 * flight tells what was thrown.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "heap.h"
#include "inject.h"
#include "memory.h"
#include "pattern.h"
#include "process.h"

typedef void *(*new_plain)(size_t);
typedef void *(*new_nothrow)(size_t, const void *);
typedef void *(*new_aligned)(size_t, size_t);
typedef void *(*new_aligned_nothrow)(size_t, size_t, const void *);

/* A C++ runtime behind the library, as every C++ program has one. */
static void preload_runtime(void) {
    char value[4096];
    const char *before = getenv("LD_PRELOAD");
    snprintf(value, sizeof value, "%s%slibstdc++.so.6", before == NULL ? "" : before,
             before == NULL || *before == '\0' ? "" : ":");
    setenv("LD_PRELOAD", value, 1);
}

static void with_runtime(const char *arm) {
    void *runtime = dlopen("libstdc++.so.6", RTLD_LAZY);
    if (runtime == NULL) {
        inapplicable("libstdc++.so.6 is not installed");
    }
    arm_decides(arm, preload_runtime);
}

static void *operator_named(const char *symbol) {
    void *address = heap_symbol(symbol);
    if (address == NULL) {
        inapplicable("no library exports %s", symbol);
    }
    return address;
}

#define GET(VARIABLE, SYMBOL)                                                                      \
    do {                                                                                           \
        void *address = operator_named(SYMBOL);                                                    \
        memcpy(&(VARIABLE), &address, sizeof address);                                             \
    } while (0)

static const void *nothrow(void) {
    return operator_named("_ZSt7nothrow");
}

/* One row a form of new; the forms of delete that may follow it. */
static const struct form {
    const char *take, *give;
    enum shape { PLAIN, NOTHROW, ALIGNED, ALIGNED_NOTHROW } shape;
    enum tail { NO_TAIL, SIZE, ALIGNMENT, SIZE_ALIGNMENT, TAG, ALIGNMENT_TAG } tail;
} forms[] = {
    {"_Znwm", "_ZdlPv", PLAIN, NO_TAIL},
    {"_Znam", "_ZdaPv", PLAIN, NO_TAIL},
    {"_Znwm", "_ZdlPvm", PLAIN, SIZE},
    {"_Znam", "_ZdaPvm", PLAIN, SIZE},
    {"_ZnwmRKSt9nothrow_t", "_ZdlPv", NOTHROW, NO_TAIL},
    {"_ZnamRKSt9nothrow_t", "_ZdaPv", NOTHROW, NO_TAIL},
    {"_ZnwmRKSt9nothrow_t", "_ZdlPvRKSt9nothrow_t", NOTHROW, TAG},
    {"_ZnamRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", NOTHROW, TAG},
    {"_ZnwmSt11align_val_t", "_ZdlPvSt11align_val_t", ALIGNED, ALIGNMENT},
    {"_ZnamSt11align_val_t", "_ZdaPvSt11align_val_t", ALIGNED, ALIGNMENT},
    {"_ZnwmSt11align_val_t", "_ZdlPvmSt11align_val_t", ALIGNED, SIZE_ALIGNMENT},
    {"_ZnamSt11align_val_t", "_ZdaPvmSt11align_val_t", ALIGNED, SIZE_ALIGNMENT},
    {"_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t", ALIGNED_NOTHROW,
     ALIGNMENT_TAG},
    {"_ZnamSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t", ALIGNED_NOTHROW,
     ALIGNMENT_TAG},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static void *form_take(const struct form *form, size_t bytes, size_t alignment) {
    void *address = operator_named(form->take);
    if (form->shape == PLAIN) {
        new_plain take;
        memcpy(&take, &address, sizeof take);
        return take(bytes);
    }
    if (form->shape == NOTHROW) {
        new_nothrow take;
        memcpy(&take, &address, sizeof take);
        return take(bytes, nothrow());
    }
    if (form->shape == ALIGNED) {
        new_aligned take;
        memcpy(&take, &address, sizeof take);
        return take(bytes, alignment);
    }
    new_aligned_nothrow take;
    memcpy(&take, &address, sizeof take);
    return take(bytes, alignment, nothrow());
}

static void form_give(const struct form *form, void *block, size_t bytes, size_t alignment) {
    /* All arguments are of integer class: one call with the right registers fits each tail. */
    void (*give)(void *, size_t, size_t);
    void *address = operator_named(form->give);
    memcpy(&give, &address, sizeof give);
    size_t tag = (size_t)(uintptr_t)nothrow();
    switch (form->tail) {
    case NO_TAIL:
        give(block, 0, 0);
        break;
    case SIZE:
        give(block, bytes, 0);
        break;
    case ALIGNMENT:
        give(block, alignment, 0);
        break;
    case SIZE_ALIGNMENT:
        give(block, bytes, alignment);
        break;
    case TAG:
        give(block, tag, 0);
        break;
    case ALIGNMENT_TAG:
        give(block, alignment, tag);
        break;
    }
}

static void all_forms_arm(void) {
    static const size_t sizes[] = {0, 1, 8, 24, 100, 1000, 4096, 5000, 40000, 300000, 3000000};
    for (size_t f = 0; f < FORMS; f++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (size_t alignment = 32; alignment <= 8192; alignment *= 4) {
                size_t bytes = sizes[s];
                unsigned char *block = form_take(&forms[f], bytes, alignment);
                int aligned = forms[f].shape == ALIGNED || forms[f].shape == ALIGNED_NOTHROW;
                size_t demand = aligned ? alignment : bytes < 16 ? 8 : 16;
                REQUIRE(block != NULL && (uintptr_t)block % demand == 0, "%s(%zu, %zu) = %p",
                        forms[f].take, bytes, alignment, (void *)block);
                uint64_t key = pattern_key(block, bytes, 1);
                pattern_fill(block, bytes, key);
                size_t wrong = pattern_check(block, bytes, key);
                REQUIRE(wrong == bytes, "%s(%zu): byte %zu changed", forms[f].take, bytes, wrong);
                form_give(&forms[f], block, bytes, alignment);
            }
        }
    }
    for (size_t f = 0; f < FORMS; f++) {
        form_give(&forms[f], NULL, 0, 64); /* delete of a null pointer does nothing */
    }
}

static size_t handler_calls;

static void set_new_handler(void (*handler)(void)) {
    void (*(*set)(void (*)(void)))(void);
    GET(set, "_ZSt15set_new_handlerPFvvE");
    set(handler);
}

/* In std::terminate: was it a bad_alloc (or a class derived from it)? */
static void on_terminate(void) {
    struct type_info_layout { /* Itanium C++ ABI, 2.9.5 */
        const void *table;
        const char *name;
    } *(*current_type)(void);
    GET(current_type, "__cxa_current_exception_type");
    const struct type_info_layout *type = current_type();
    if (type == NULL) {
        broken("std::terminate without an exception");
    }
    if (strstr(type->name, "bad_alloc") == NULL) {
        broken("threw %s, not std::bad_alloc", type->name);
    }
    _exit(EXIT_KEPT);
}

static void on_abort(int signal_number) {
    (void)signal_number;
    broken("called abort instead of throwing std::bad_alloc");
}

static const size_t too_much = (size_t)1 << 50;

static void throws(enum shape shape) {
    void (*(*set)(void (*)(void)))(void);
    GET(set, "_ZSt13set_terminatePFvvE");
    set(on_terminate);
    signal(SIGABRT, on_abort);
    for (size_t f = 0; f < FORMS; f++) {
        if (forms[f].shape != shape) {
            continue;
        }
        void *block = form_take(&forms[f], too_much, 64);
        broken("%s(2^50) returned %p instead of throwing", forms[f].take, block);
    }
}

static void throws_arm(void) {
    throws(PLAIN);
}

static void throws_aligned_arm(void) {
    throws(ALIGNED);
}

static void nothrow_arm(void) {
    for (size_t f = 0; f < FORMS; f++) {
        if (forms[f].shape == NOTHROW || forms[f].shape == ALIGNED_NOTHROW) {
            void *block = form_take(&forms[f], too_much, 64);
            REQUIRE(block == NULL, "%s(2^50) = %p", forms[f].take, block);
        }
    }
}

static void give_up(void) {
    if (++handler_calls == 3) {
        set_new_handler(NULL);
    }
}

static void handler_called(enum shape shape) {
    for (size_t f = 0; f < FORMS; f++) {
        if (forms[f].shape != shape) {
            continue;
        }
        handler_calls = 0;
        set_new_handler(give_up);
        void *block = form_take(&forms[f], too_much, 64);
        REQUIRE(block == NULL, "%s(2^50) = %p", forms[f].take, block);
        REQUIRE(handler_calls == 3, "%s called the new handler %zu times, not until it was removed",
                forms[f].take, handler_calls);
    }
}

static void handler_nothrow_arm(void) {
    handler_called(NOTHROW);
    handler_called(ALIGNED_NOTHROW);
}

static void handler_then_exit(void) {
    if (++handler_calls == 3) {
        _exit(EXIT_KEPT);
    }
}

static void handler_plain_arm(void) {
    set_new_handler(handler_then_exit);
    void *block = form_take(&forms[0], too_much, 64);
    broken("operator new(2^50) returned %p without asking the new handler", block);
}

static void make_room(void) {
    handler_calls++;
    inject_stop();
    set_new_handler(NULL);
}

/* The handler makes room (here: ends the refusals); new tries again and succeeds. An allocator
 * that holds enough committed memory never asks: fine too. */
static void handler_helps_arm(void) {
    inject_begin();
    set_new_handler(make_room);
    inject_from(REFUSE_ALL, 1);
    char *block = form_take(&forms[0], (size_t)200 * MIB, 64);
    inject_stop();
    REQUIRE(block != NULL, "operator new = NULL");
    block[0] = block[(size_t)200 * MIB - 1] = 1;
    form_give(&forms[0], block, 0, 0);
}

#define WITH_RUNTIME(NAME)                                                                         \
    static void NAME(void) {                                                                       \
        with_runtime("cxx." #NAME "_arm");                                                         \
    }

WITH_RUNTIME(all_forms)
WITH_RUNTIME(throws_plain)
WITH_RUNTIME(throws_aligned)
WITH_RUNTIME(nothrow_null)
WITH_RUNTIME(handler_plain)
WITH_RUNTIME(handler_nothrow)
WITH_RUNTIME(handler_helps)

static const struct probe rows[] = {
    ROW("forms", "all forms of new and delete, aligned and sized, work together", all_forms, QUICK),
    ROW("throws", "operator new throws bad_alloc on exhaustion", throws_plain, QUICK),
    ROW("throws-aligned", "aligned operator new throws bad_alloc on exhaustion", throws_aligned,
        QUICK),
    ROW("nothrow", "nothrow new returns null on exhaustion", nothrow_null, QUICK),
    ROW("handler", "operator new calls the new handler on exhaustion, until it gives up",
        handler_plain, QUICK),
    ROW("handler-nothrow", "nothrow new calls the new handler too", handler_nothrow, QUICK),
    ROW("handler-helps", "operator new succeeds when the new handler made room", handler_helps,
        QUICK),
    ROW("all_forms_arm", "", all_forms_arm, HIDDEN),
    ROW("throws_plain_arm", "", throws_arm, HIDDEN),
    ROW("throws_aligned_arm", "", throws_aligned_arm, HIDDEN),
    ROW("nothrow_null_arm", "", nothrow_arm, HIDDEN),
    ROW("handler_plain_arm", "", handler_plain_arm, HIDDEN),
    ROW("handler_nothrow_arm", "", handler_nothrow_arm, HIDDEN),
    ROW("handler_helps_arm", "", handler_helps_arm, HIDDEN),
};

const struct area cxx_area = AREA("cxx", rows);
