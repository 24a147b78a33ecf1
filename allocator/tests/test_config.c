/* config: what the environment says holds, and what it says wrongly is said aloud. */
#include "child.h"
#include "hakmem.h"

/* Prints NAME=VALUE for every switch. */
PART(print_all) {
    char text[64];
    for (int i = 0; hak_config_name(i) != NULL; i++) {
        printf("<%s=%s>\n", hak_config_name(i), hak_config_value(i, text, sizeof text));
    }
    void *block = hak_malloc(2000);
    CHECK(block != NULL);
    hak_free(block);
    printf("served\n");
}

static struct ending print_with(const char *setting) {
    char *environment[] = {(char *)setting, NULL};
    struct ending end = child_again("print_all", environment, 0);
    CHECK_EQUAL(end.code, 0);
    CHECK(strstr(end.said, "served") != NULL);
    return end;
}

static bool fixed(void) {
    return strcmp(hak_flavour(), "fixed") == 0;
}

static bool says_value(const struct ending *end, const char *name, const char *value) {
    char line[128];
    snprintf(line, sizeof line, "<%s=%s>", name, value);
    return strstr(end->said, line) != NULL;
}

/* HAKMEM_NAME=value. */
static void spell(char *out, size_t bytes, const char *name, const char *value) {
    snprintf(out, bytes, "HAKMEM_%s=%s", name, value);
    for (char *at = out; *at != '='; at++) {
        *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
    }
}

PROMISE(without_settings_every_switch_has_its_default_and_nothing_is_said) {
    struct ending end = print_with("PATH=/bin");
    char text[64];
    for (int i = 0; hak_config_name(i) != NULL; i++) {
        CHECK(says_value(&end, hak_config_name(i), hak_config_default(i, text, sizeof text)));
    }
    CHECK(strstr(end.said, "hakmem:") == NULL);
}

PROMISE(every_default_is_a_value_that_can_be_set) {
    for (int i = 0; hak_config_name(i) != NULL; i++) {
        char text[64], setting[160];
        const char *preset = hak_config_default(i, text, sizeof text);
        spell(setting, sizeof setting, hak_config_name(i), preset);
        struct ending end = print_with(setting);
        CHECK(says_value(&end, hak_config_name(i), preset));
        CHECK(strstr(end.said, "hakmem:") == NULL);
    }
}

PROMISE(every_listed_value_of_every_named_switch_can_be_set) {
    for (int i = 0; hak_config_name(i) != NULL; i++) {
        if (strchr(hak_config_allowed(i), ',') != NULL ||
            strstr(hak_config_allowed(i), " to ") != NULL) {
            continue;
        }
        char values[128], setting[160];
        snprintf(values, sizeof values, "%s", hak_config_allowed(i));
        for (char *value = strtok(values, " "); value != NULL; value = strtok(NULL, " ")) {
            spell(setting, sizeof setting, hak_config_name(i), value);
            struct ending end = print_with(setting);
            CHECK(fixed() || says_value(&end, hak_config_name(i), value));
            CHECK(strstr(end.said, "hakmem:") == NULL);
        }
    }
}

PROMISE(numbers_are_read_with_their_suffix_and_printed_with_it) {
    static const char *const good[][3] = {
        {"threshold", "512K", "512K"}, {"threshold", "1G", "1G"},
        {"threshold", "2048K", "2M"},  {"threshold", "1048577", "1048577"},
        {"budget", "0", "0"},          {"budget", "64G", "64G"},
        {"budget", "auto", "auto"},    {"bigcache", "1M", "1M"},
        {"decay_ms", "0", "0"},        {"decay_ms", "1000000", "1000000"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char setting[160];
        spell(setting, sizeof setting, good[i][0], good[i][1]);
        struct ending end = print_with(setting);
        CHECK(fixed() || says_value(&end, good[i][0], good[i][2]));
        CHECK(strstr(end.said, "hakmem:") == NULL);
    }
}

PROMISE(a_wrong_value_is_one_line_that_names_it_and_what_is_allowed_and_the_default_holds) {
    static const char *const bad[][2] = {{"registry", "sorted"},
                                         {"registry", ""},
                                         {"registry", "flatt"},
                                         {"registry", "FLAT"},
                                         {"route", "cascade leak"},
                                         {"lock", "futex "},
                                         {"check", "2"},
                                         {"check", "yes"},
                                         {"threshold", "511K"},
                                         {"threshold", "2G"},
                                         {"threshold", "1T"},
                                         {"threshold", "1MB"},
                                         {"threshold", "-1"},
                                         {"threshold", ""},
                                         {"threshold", "M"},
                                         {"threshold", " 1M"},
                                         {"budget", "65G"},
                                         {"budget", "Auto"},
                                         {"budget", "18446744073709551617"},
                                         {"budget", "99999999999999999999G"},
                                         {"decay_ms", "1000001"},
                                         {"decay_ms", "1.5"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char setting[160], text[64];
        spell(setting, sizeof setting, bad[i][0], bad[i][1]);
        struct ending end = print_with(setting);
        int at = 0;
        while (strcmp(hak_config_name(at), bad[i][0]) != 0) {
            at++;
        }
        CHECK(says_value(&end, bad[i][0], hak_config_default(at, text, sizeof text)));
        if (!fixed()) {
            char *line = strstr(end.said, "hakmem: ");
            CHECK(line != NULL && strstr(line, setting) != NULL);
            CHECK(strstr(line, hak_config_allowed(at)) != NULL);
            CHECK(strstr(line + 1, "hakmem: ") == NULL);
        }
    }
}

PROMISE(an_unknown_name_is_one_line_that_names_it_and_those_there_are) {
    static const char *const bad[] = {"HAKMEM_REGISTRI=flat", "HAKMEM_=1", "HAKMEM_REGISTRY2=flat",
                                      "HAKMEM_REGISTR=flat", "HAKMEM_CHECK"};
    for (size_t i = 0; !fixed() && i < sizeof bad / sizeof bad[0]; i++) {
        struct ending end = print_with(bad[i]);
        char *line = strstr(end.said, "hakmem: ");
        CHECK(line != NULL && strstr(line, bad[i]) != NULL);
        for (int k = 0; hak_config_name(k) != NULL; k++) {
            CHECK(strstr(line, hak_config_name(k)) != NULL);
        }
        CHECK(strstr(line + 1, "hakmem: ") == NULL);
    }
}

PROMISE(settings_of_others_are_none_of_ours) {
    static const char *const others[] = {"HAKME=1", "XHAKMEM_CHECK=7", "hakmem_check=7",
                                         "HAKMEM=1"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK(strstr(print_with(others[i]).said, "hakmem:") == NULL);
    }
}

PROMISE(a_very_long_wrong_value_is_cut_and_harms_nothing) {
    static char setting[5000] = "HAKMEM_REGISTRY=";
    memset(setting + strlen(setting), 'x', 4000);
    struct ending end = print_with(setting);
    CHECK(fixed() || strstr(end.said, "hakmem: HAKMEM_REGISTRY=xxx") != NULL);
}

PROMISE(indices_beyond_the_last_switch_have_no_name_value_or_help) {
    char text[64];
    int count = 0;
    while (hak_config_name(count) != NULL) {
        CHECK(hak_config_help(count) != NULL && hak_config_allowed(count) != NULL);
        CHECK(strlen(hak_config_value(count, text, sizeof text)) > 0);
        count++;
    }
    CHECK(count >= 9);
    int beyond[] = {-1, count, count + 1, 1000000};
    for (int i = 0; i < 4; i++) {
        CHECK(hak_config_name(beyond[i]) == NULL && hak_config_help(beyond[i]) == NULL);
        CHECK(hak_config_allowed(beyond[i]) == NULL);
        CHECK(hak_config_value(beyond[i], text, sizeof text) == NULL);
        CHECK(hak_config_default(beyond[i], text, sizeof text) == NULL);
    }
}

PROMISE(a_small_buffer_gets_the_beginning_of_a_value) {
    char text[4] = "zzz";
    CHECK(hak_config_value(0, text, 3) == text);
    CHECK_EQUAL(strlen(text), 2);
    CHECK(text[3] == '\0');
    text[0] = 'q';
    CHECK(hak_config_value(0, text, 0) == text && text[0] == 'q');
}
