#include "base/locks.h"
#include "base/say.h"

#include <string.h>

#define FAMILIES_MAX 32

static struct lock_family families[FAMILIES_MAX];
static int family_count;

void lock_init_family(const struct lock_family *family) {
    if (family_count == FAMILIES_MAX) {
        say_die("more locks than a fork could hold", family->first);
    }
    families[family_count++] = *family;
}

void lock_init(struct lock *lock, const char *name, enum lock_rank rank) {
    struct lock_family alone = {.name = name, .first = lock, .count = 1, .rank = rank};
    lock_init_family(&alone);
}

static struct lock *member(const struct lock_family *family, int index) {
    return (struct lock *)((char *)family->first + (size_t)index * family->stride);
}

int lock_count(void) {
    int count = 0;
    for (int i = 0; i < family_count; i++) {
        count += families[i].count;
    }
    return count;
}

struct lock *lock_at(int index) {
    const struct lock_family *family = families;
    while (index >= family->count) {
        index -= family++->count;
    }
    return member(family, index);
}

const struct lock_family *lock_family(const struct lock *lock) {
    for (int i = 0; i < family_count; i++) {
        if (lock >= families[i].first && lock <= member(&families[i], families[i].count - 1)) {
            return &families[i];
        }
    }
    say_die("a lock that was never named", lock);
}

void lock_name(const struct lock *lock, char name[LOCK_NAME]) {
    const struct lock_family *family = lock_family(lock);
    size_t n = strlen(family->name);
    memset(name, 0, LOCK_NAME);
    memcpy(name, family->name, n);
    if (family->number == NULL) {
        return;
    }
    int index = 0;
    while (member(family, index) != lock) {
        index++;
    }
    char digits[10];
    int count = 0;
    unsigned number = family->number(index);
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    name[n++] = '.';
    while (count > 0) {
        name[n++] = digits[--count];
    }
}
