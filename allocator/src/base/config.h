/* config: every switch, declared once: a row of SWITCHES.
 *
 * In the runtime library the switches are read from HAKMEM_* in the environment, once, before the
 * first block is handed out; an unknown name or value is one line on standard error, and the
 * default holds. In the constant library (HAK_FIXED) the same names are compile-time constants, so
 * a test of a switch, a plain `if`, leaves no code behind. Immutable after config_init.
 */
#ifndef HAK_CONFIG_H
#define HAK_CONFIG_H

#include "base/base.h"

/* A row: the name, which is config.<name> here and HAKMEM_<NAME> in the environment; the default;
 * what it does, for users; and what it may be:
 *
 *   ONE_OF(kind, values)      enum kind, with VALUE(constant, its text) for each
 *   ON_OFF                    0 or 1
 *   NUMBER(low, high)         the bounds as a user writes them
 *   BYTES(low, high)          the same, in K, M or G
 *   AUTO_OR_BYTES(low, high)  the same, or CONFIG_AUTO, written "auto"
 */
/* clang-format off */
#define SWITCHES(SWITCH) \
    SWITCH(registry, REGISTRY_FLAT, "how free learns the class of a Mid block", \
           ONE_OF(registry_kind, \
                  VALUE(REGISTRY_LOCKED, "locked") \
                  VALUE(REGISTRY_PREALLOC_LOCKED, "prealloc-locked") \
                  VALUE(REGISTRY_PREALLOC_RWLOCK, "prealloc-rwlock") \
                  VALUE(REGISTRY_PREALLOC_SEQLOCK, "prealloc-seqlock") \
                  VALUE(REGISTRY_FLAT, "flat"))) \
    SWITCH(route, ROUTE_DIRECT, "whom free asks, in which order", \
           ONE_OF(route_kind, \
                  VALUE(ROUTE_DIRECT, "direct") \
                  VALUE(ROUTE_CASCADE, "cascade") \
                  VALUE(ROUTE_CASCADE_LEAK, "cascade-leak"))) \
    SWITCH(lock, LOCK_FUTEX, "spin then sleep on a futex; spin only; pthread mutex", \
           ONE_OF(lock_kind, \
                  VALUE(LOCK_FUTEX, "futex") \
                  VALUE(LOCK_SPIN, "spin") \
                  VALUE(LOCK_MUTEX, "mutex"))) \
    SWITCH(check, 0, "find and name misuse, then abort", ON_OFF) \
    SWITCH(learn, 0, "learn the huge threshold while running", ON_OFF) \
    SWITCH(threshold, 32 * MIB, "larger blocks are mapped one by one", BYTES(512K, 1G)) \
    SWITCH(budget, CONFIG_AUTO, \
           "bytes all thread caches together may hold; auto: an eighth of the memory in use, at " \
           "least 96M", AUTO_OR_BYTES(0, 64G)) \
    SWITCH(bigcache, 64 * MIB, "bytes of freed huge mappings kept for reuse", BYTES(0, 64G)) \
    SWITCH(dirty, 8 * MIB, \
           "bytes of free memory that may stay resident; a quarter of the memory in use, if that " \
           "is more", BYTES(0, 64G)) \
    SWITCH(decay_ms, 1000, "free pages older than this many milliseconds go back to the system", \
           NUMBER(0, 1000000)) \
    SWITCH(idle, 1, "take the blocks that sleeping threads keep", ON_OFF) \
    SWITCH(background, 0, \
           "a thread of its own gives free memory back while the process sleeps", ON_OFF) \
    SWITCH(hugepages, 1, \
           "ask for huge pages for new memory, as long as what was handed out is touched", ON_OFF) \
    SWITCH(deepbind, 0, \
           "let dlopen keep RTLD_DEEPBIND, which gives a plug-in libc's malloc instead of this " \
           "one", ON_OFF)
/* clang-format on */

/* As suits the memory in use. */
#define CONFIG_AUTO UINT64_MAX

#define ONE_OF(kind, values) enum kind { values };
#define VALUE(constant, text) constant,
#define ON_OFF
#define NUMBER(low, high)
#define BYTES(low, high)
#define AUTO_OR_BYTES(low, high)
#define CONFIG_KIND(name, preset, help, kind) kind
SWITCHES(CONFIG_KIND)
#undef ONE_OF
#undef VALUE
#undef ON_OFF
#undef NUMBER
#undef BYTES
#undef AUTO_OR_BYTES

#define CONFIG_FIELD(name, preset, help, kind) uint64_t name;
struct config {
    SWITCHES(CONFIG_FIELD)
};

/* What a build fixes otherwise, as in HAK_FIXED_TO='.check = 1, .route = ROUTE_CASCADE'. */
#ifndef HAK_FIXED_TO
#define HAK_FIXED_TO
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
#define CONFIG_PRESET(name, preset, help, kind) .name = preset,
#define CONFIG_DEFAULTS {SWITCHES(CONFIG_PRESET) HAK_FIXED_TO}

#ifdef HAK_FIXED
static const struct config config = CONFIG_DEFAULTS;
#else
extern struct config config;
#endif

void config_init(void);

/* True if free must ask somebody other than the page map about blocks of class `cls`. */
bool config_is_routed(unsigned cls);

#endif
