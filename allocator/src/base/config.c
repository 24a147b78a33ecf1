#define _GNU_SOURCE
#include "base/config.h"
#include "base/say.h"
#include "base/sizeclass.h"

#include "hakmem.h"

#include <stddef.h>
#include <string.h>

#ifndef HAK_FIXED
struct config config = CONFIG_DEFAULTS;
#endif

static const struct config defaults = CONFIG_DEFAULTS;

static const char *const registry_names[] = {
    "locked", "prealloc-locked", "prealloc-rwlock", "prealloc-seqlock", "flat", NULL};
static const char *const route_names[] = {"direct", "cascade", "cascade-leak", NULL};
static const char *const lock_names[] = {"futex", "spin", "mutex", NULL};
static const char *const switch_names[] = {"0", "1", NULL};

static const struct option {
    const char *name;          /* HAKMEM_<NAME> in the environment */
    size_t offset;             /* of its uint64_t in struct config */
    const char *const *values; /* NULL: a number between low and high */
    uint64_t low, high;        /* and, for the budget, BUDGET_AUTO */
    const char *allowed;
    const char *help;
} options[] = {
    {"registry", offsetof(struct config, registry), registry_names, 0, 0,
     "locked prealloc-locked prealloc-rwlock prealloc-seqlock flat",
     "how free learns the class of a Mid block"},
    {"route", offsetof(struct config, route), route_names, 0, 0, "direct cascade cascade-leak",
     "whom free asks, in which order"},
    {"lock", offsetof(struct config, lock), lock_names, 0, 0, "futex spin mutex",
     "spin then sleep on a futex; spin only; pthread mutex"},
    {"check", offsetof(struct config, check), switch_names, 0, 0, "0 1",
     "find and name misuse, then abort"},
    {"learn", offsetof(struct config, learn), switch_names, 0, 0, "0 1",
     "learn the huge threshold while running"},
    {"threshold", offsetof(struct config, threshold), NULL, 512 * KIB, GIB,
     "512K to 1G, with K, M or G", "larger blocks are mapped one by one"},
    {"budget", offsetof(struct config, budget), NULL, 0, 64 * GIB,
     "auto, or 0 to 64G, with K, M or G",
     "bytes all thread caches together may hold; auto: an eighth of the memory in use, at least "
     "96M"},
    {"bigcache", offsetof(struct config, bigcache), NULL, 0, 64 * GIB, "0 to 64G, with K, M or G",
     "bytes of freed huge mappings kept for reuse"},
    {"dirty", offsetof(struct config, dirty), NULL, 0, 64 * GIB, "0 to 64G, with K, M or G",
     "bytes of free memory that may stay resident; a quarter of the memory in use, if that is "
     "more"},
    {"decay_ms", offsetof(struct config, decay_ms), NULL, 0, 1000000, "0 to 1000000",
     "free pages older than this many milliseconds go back to the system"},
    {"idle", offsetof(struct config, idle), switch_names, 0, 0, "0 1",
     "take the blocks that sleeping threads keep"},
    {"background", offsetof(struct config, background), switch_names, 0, 0, "0 1",
     "a thread of its own gives free memory back while the process sleeps"},
    {"hugepages", offsetof(struct config, hugepages), switch_names, 0, 0, "0 1",
     "ask for huge pages where blocks up to 4 KiB lie, beyond the first 8 MiB"},
    {"deepbind", offsetof(struct config, deepbind), switch_names, 0, 0, "0 1",
     "let dlopen keep RTLD_DEEPBIND, which gives a plug-in libc's malloc instead of this one"},
};

enum { OPTIONS = sizeof options / sizeof options[0] };

bool config_is_routed(unsigned cls) {
    if (config.route != ROUTE_DIRECT) {
        return !class_is_tiny(cls);
    }
    return config.registry != REGISTRY_FLAT && class_is_mid(cls);
}

#ifndef HAK_FIXED

static bool parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out) {
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (n > UINT64_MAX / 16) {
            return false;
        }
        n = n * 10 + (uint64_t)(*at - '0');
    }
    if (at == text) {
        return false;
    }
    if (*at != '\0') {
        const char *suffix = strchr("KMG", *at);
        if (suffix == NULL || at[1] != '\0') {
            return false;
        }
        unsigned shift = *at == 'K' ? 10 : *at == 'M' ? 20 : 30;
        if (n > UINT64_MAX >> shift) {
            return false;
        }
        n <<= shift;
    }
    *out = n;
    return n >= low && n <= high;
}

static bool parse(const struct option *option, const char *text) {
    uint64_t value;
    if (option->values != NULL) {
        for (value = 0; option->values[value] != NULL; value++) {
            if (strcmp(option->values[value], text) == 0) {
                break;
            }
        }
        if (option->values[value] == NULL) {
            return false;
        }
    } else if (option->offset == offsetof(struct config, budget) && strcmp(text, "auto") == 0) {
        value = BUDGET_AUTO;
    } else if (!parse_number(text, option->low, option->high, &value)) {
        return false;
    }
    memcpy((char *)&config + option->offset, &value, sizeof value);
    return true;
}

static size_t append(char *to, size_t used, size_t room, const char *text) {
    size_t n = strnlen(text, room - used - 1);
    memcpy(to + used, text, n);
    to[used + n] = '\0';
    return used + n;
}

/* "hakmem: HAKMEM_X=y is not known; allowed: ..." */
static void complain(const char *setting, const struct option *option) {
    char line[400];
    size_t n = append(line, 0, sizeof line, "hakmem: ");
    n = append(line, n, 200, setting);
    n = append(line, n, sizeof line,
               option != NULL ? " is not a value of this switch; allowed: "
                              : " is no switch of this allocator; known: ");
    if (option != NULL) {
        append(line, n, sizeof line, option->allowed);
    } else {
        for (int i = 0; i < OPTIONS; i++) {
            n = append(line, n, sizeof line, options[i].name);
            n = append(line, n, sizeof line, i + 1 < OPTIONS ? " " : "");
        }
    }
    say_line(line);
}

/* `setting` is one NAME=value of the environment. */
static void apply(const char *setting) {
    static const char prefix[] = "HAKMEM_";
    if (strncmp(setting, prefix, sizeof prefix - 1) != 0) {
        return;
    }
    const char *name = setting + sizeof prefix - 1;
    for (int i = 0; i < OPTIONS; i++) {
        size_t n = strlen(options[i].name);
        size_t k = 0;
        while (k < n && (name[k] | 0x20) == (options[i].name[k] | 0x20)) {
            k++;
        }
        if (k == n && name[n] == '=') {
            if (!parse(&options[i], name + n + 1)) {
                complain(setting, &options[i]);
            }
            return;
        }
    }
    complain(setting, NULL);
}

/* Where the kernel put the arguments, and behind them the environment: glibc's dynamic linker says
 * so from the first instruction on. */
extern void *__libc_stack_end __attribute__((weak));

/* The environment; as the kernel gave it for a first malloc that comes before libc has set
 * `environ`. NULL if there is none to be found. */
static char **settings(void) {
    extern char **environ;
    if (environ != NULL || &__libc_stack_end == NULL || __libc_stack_end == NULL) {
        return environ;
    }
    char **at = (char **)__libc_stack_end + 1;
    while (*at != NULL) {
        at++;
    }
    return at + 1;
}

void config_init(void) {
    for (char **setting = settings(); setting != NULL && *setting != NULL; setting++) {
        apply(*setting);
    }
    lock_choose((enum lock_kind)config.lock);
}

#else

void config_init(void) {
    lock_choose((enum lock_kind)config.lock);
}

#endif

const char *hak_config_name(int index) {
    return index >= 0 && index < OPTIONS ? options[index].name : NULL;
}

static const char *value_text(const struct config *from, int index, char *text, size_t bytes) {
    uint64_t value;
    memcpy(&value, (const char *)from + options[index].offset, sizeof value);
    if (bytes == 0) {
        return text;
    }
    text[0] = '\0';
    if (options[index].values != NULL) {
        strncat(text, options[index].values[value], bytes - 1);
        return text;
    }
    if (options[index].offset == offsetof(struct config, budget) && value == BUDGET_AUTO) {
        strncat(text, "auto", bytes - 1);
        return text;
    }
    const char *suffix = "";
    if (options[index].high >= GIB && value != 0) {
        static const char *const suffixes[] = {"", "K", "M", "G"};
        int k = 0;
        while (k < 3 && value % 1024 == 0) {
            value /= 1024;
            k++;
        }
        suffix = suffixes[k];
    }
    char digits[24];
    size_t n = sizeof digits;
    digits[--n] = '\0';
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    strncat(text, digits + n, bytes - 1);
    strncat(text, suffix, bytes - 1 - strlen(text));
    return text;
}

const char *hak_config_value(int index, char *text, size_t bytes) {
    return hak_config_name(index) != NULL ? value_text(&config, index, text, bytes) : NULL;
}

const char *hak_config_default(int index, char *text, size_t bytes) {
    return hak_config_name(index) != NULL ? value_text(&defaults, index, text, bytes) : NULL;
}

const char *hak_config_allowed(int index) {
    return hak_config_name(index) != NULL ? options[index].allowed : NULL;
}

const char *hak_config_help(int index) {
    return hak_config_name(index) != NULL ? options[index].help : NULL;
}
