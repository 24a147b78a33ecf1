/* Judges each misuse program from outside: stopped on purpose, by accident, refused or unnoticed.
 */
#include "misuse.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "areas.h"
#include "process.h"

static void first_line(char *text) {
    char *end = strchr(text, '\n');
    if (end != NULL) {
        *end = '\0';
    }
}

static void run_arm(const char *which, struct outcome *outcome) {
    char row[128];
    snprintf(row, sizeof row, "misuse_arms.%s-%s", probe_current()->name, which);
    arm_run(row, NULL, outcome);
    first_line(outcome->text);
    if (WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == EXIT_INAPPLICABLE) {
        inapplicable("%s", outcome->text);
    }
}

/* The twin first: a malloc that stops everything would otherwise win. The kept result carries one
 * line that begins with "stopped", "accident" or "refused". */
static void judge(void) {
    struct outcome outcome;
    char how[64];
    run_arm("twin", &outcome);
    status_describe(outcome.status, how, sizeof how);
    REQUIRE(outcome.status == 0, "the benign twin ended by %s: %s", how, outcome.text);
    run_arm("bad", &outcome);
    status_describe(outcome.status, how, sizeof how);
    if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_REFUSED) {
        remark("refused");
    } else if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == EXIT_KEPT) {
        broken("not stopped%s%s", outcome.text[0] != '\0' ? ", only told: " : "", outcome.text);
    } else if (outcome.text[0] != '\0') {
        remark("stopped by %s: %s", how, outcome.text);
    } else {
        remark("accident: %s without a message", how);
    }
}

#define JUDGED(IDENTIFIER, NAME, LINE, BYTES)                                                      \
    {NAME, LINE, judge, QUICK, &misuse_##IDENTIFIER, BYTES},
#define AT_EVERY_SIZE(IDENTIFIER, NAME, LINE)                                                      \
    JUDGED(IDENTIFIER, NAME "-tiny", LINE " (24 bytes)", 24)                                       \
    JUDGED(IDENTIFIER, NAME "-small", LINE " (200 bytes)", 200)                                    \
    JUDGED(IDENTIFIER, NAME "-mid", LINE " (5000 bytes)", 5000)                                    \
    JUDGED(IDENTIFIER, NAME "-large", LINE " (100 000 bytes)", 100000)                             \
    JUDGED(IDENTIFIER, NAME "-huge", LINE " (3 000 000 bytes)", 3000000)
#define ONCE(IDENTIFIER, NAME, LINE) JUDGED(IDENTIFIER, NAME, LINE, 100)

static const struct probe rows[] = {EACH_SIZED(AT_EVERY_SIZE) EACH_SINGLE(ONCE)};

const struct area misuse_area = AREA("misuse", rows);
