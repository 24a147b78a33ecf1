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

/* clang-format off */
static const struct option {
    const char *name;
    size_t offset; /* of its uint64_t in struct config */
    const char *help;
    const char *allowed;    /* for users; without bounds: the texts of 0, 1, ..., a blank between */
    const char *low, *high; /* of a number, as a user writes them */
    bool bytes, automatic;  /* written with K, M or G; may be CONFIG_AUTO */
} options[] = {
#define ONE_OF(kind, values) .allowed = &(values)[1]
#define VALUE(constant, text) " " text
#define ON_OFF .allowed = "0 1"
#define NUMBER(from, to) .low = #from, .high = #to, .allowed = #from " to " #to
#define BYTES(from, to) \
    .low = #from, .high = #to, .allowed = #from " to " #to ", with K, M or G", .bytes = true
#define AUTO_OR_BYTES(from, to) \
    .low = #from, .high = #to, .allowed = "auto, or " #from " to " #to ", with K, M or G", \
    .bytes = true, .automatic = true
#define OPTION(key, preset, text, kind) \
    {.name = #key, .offset = offsetof(struct config, key), .help = text, kind},
    SWITCHES(OPTION)
};
/* clang-format on */

enum { OPTIONS = sizeof options / sizeof options[0] };

bool config_is_routed(unsigned cls) {
    if (config.route != ROUTE_DIRECT) {
        return !class_is_tiny(cls);
    }
    return config.registry != REGISTRY_FLAT && class_is_mid(cls);
}

#ifndef HAK_FIXED

static bool parse_number(const char *text, uint64_t *out) {
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
    return true;
}

static bool parse_within(const struct option *option, const char *text, uint64_t *out) {
    uint64_t low, high;
    return parse_number(option->low, &low) && parse_number(option->high, &high) &&
           parse_number(text, out) && *out >= low && *out <= high;
}

/* Which of the words that are allowed. */
static bool parse_word(const struct option *option, const char *text, uint64_t *out) {
    const char *word = option->allowed;
    for (*out = 0;; (*out)++) {
        size_t n = strcspn(word, " ");
        if (strlen(text) == n && memcmp(text, word, n) == 0) {
            return true;
        }
        if (word[n] == '\0') {
            return false;
        }
        word += n + 1;
    }
}

static bool parse(const struct option *option, const char *text) {
    uint64_t value = CONFIG_AUTO;
    bool known = (option->automatic && strcmp(text, "auto") == 0) ||
                 (option->low != NULL ? parse_within(option, text, &value)
                                      : parse_word(option, text, &value));
    if (known) {
        memcpy((char *)&config + option->offset, &value, sizeof value);
    }
    return known;
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
}

#else

void config_init(void) {}

#endif

const char *hak_config_name(int index) {
    return index >= 0 && index < OPTIONS ? options[index].name : NULL;
}

static const char *value_text(const struct config *from, int index, char *text, size_t bytes) {
    const struct option *option = &options[index];
    uint64_t value;
    memcpy(&value, (const char *)from + option->offset, sizeof value);
    if (bytes == 0) {
        return text;
    }
    text[0] = '\0';
    if (option->low == NULL) {
        const char *word = option->allowed;
        while (value-- > 0) {
            word += strcspn(word, " ") + 1;
        }
        size_t n = strcspn(word, " ");
        strncat(text, word, n < bytes ? n : bytes - 1);
        return text;
    }
    if (option->automatic && value == CONFIG_AUTO) {
        strncat(text, "auto", bytes - 1);
        return text;
    }
    const char *suffix = "";
    if (option->bytes && value != 0) {
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
