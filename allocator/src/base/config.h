/* config: every switch, declared once (the table in config.c).
 *
 * In the runtime library the switches are read from HAKMEM_* in the environment, once, before the
 * first block is handed out; an unknown name or value is one line on standard error, and the
 * default holds. In the constant library (HAK_FIXED) the same names are compile-time constants, so
 * a test of a switch, a plain `if`, leaves no code behind. Immutable after config_init.
 */
#ifndef HAK_CONFIG_H
#define HAK_CONFIG_H

#include "base/base.h"
#include "base/lock.h"

enum registry_kind {
    REGISTRY_LOCKED,
    REGISTRY_PREALLOC_LOCKED,
    REGISTRY_PREALLOC_RWLOCK,
    REGISTRY_PREALLOC_SEQLOCK,
    REGISTRY_FLAT
};
enum route_kind { ROUTE_DIRECT, ROUTE_CASCADE, ROUTE_CASCADE_LEAK };

#ifndef HAK_FIXED_REGISTRY
#define HAK_FIXED_REGISTRY REGISTRY_FLAT
#endif
#ifndef HAK_FIXED_ROUTE
#define HAK_FIXED_ROUTE ROUTE_DIRECT
#endif
#ifndef HAK_FIXED_LOCK
#define HAK_FIXED_LOCK LOCK_FUTEX
#endif
#ifndef HAK_FIXED_CHECK
#define HAK_FIXED_CHECK 0
#endif

/* As suits the memory in use (room.c). Written "auto". */
#define BUDGET_AUTO UINT64_MAX

#define CONFIG_DEFAULTS                                                                            \
    {.registry = HAK_FIXED_REGISTRY,                                                               \
     .route = HAK_FIXED_ROUTE,                                                                     \
     .lock = HAK_FIXED_LOCK,                                                                       \
     .check = HAK_FIXED_CHECK,                                                                     \
     .learn = 0,                                                                                   \
     .threshold = 32 * MIB,                                                                        \
     .budget = BUDGET_AUTO,                                                                        \
     .bigcache = 64 * MIB,                                                                         \
     .dirty = 8 * MIB,                                                                             \
     .decay_ms = 1000,                                                                             \
     .idle = 1,                                                                                    \
     .background = 0,                                                                              \
     .deepbind = 0,                                                                                \
     .hugepages = 0}

struct config {
    uint64_t registry;   /* enum registry_kind */
    uint64_t route;      /* enum route_kind */
    uint64_t lock;       /* enum lock_kind */
    uint64_t check;      /* 1: checked mode */
    uint64_t learn;      /* 1: the huge threshold is learned, starting from `threshold` */
    uint64_t threshold;  /* bytes; larger blocks are mapped one by one */
    uint64_t budget;     /* bytes all thread caches together may hold, or BUDGET_AUTO */
    uint64_t bigcache;   /* bytes of freed huge mappings kept for reuse */
    uint64_t dirty;      /* bytes of free memory that may stay resident whatever is in use */
    uint64_t idle;       /* 1: what sleeping threads hold is taken from them */
    uint64_t background; /* 1: a thread gives memory back while the process sleeps */
    uint64_t hugepages;  /* 1: ask for huge pages where short blocks lie */
    uint64_t deepbind;   /* 1: dlopen keeps RTLD_DEEPBIND, and such a plug-in libc's malloc */
    uint64_t decay_ms;   /* free pages older than this go back to the system */
};

#ifdef HAK_FIXED
static const struct config config = CONFIG_DEFAULTS;
#else
extern struct config config;
#endif

void config_init(void);

/* True if free must ask somebody other than the page map about blocks of class `cls`. */
bool config_is_routed(unsigned cls);

#endif
