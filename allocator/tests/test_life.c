/* life: a thread that ended is known to have ended, and one that lives to live. */
#include "base/life.h"
#include "check.h"

static struct life lives[5];
static pthread_barrier_t meet;

static void *end_without_telling(void *life) {
    life_begin(life);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    return NULL;
}

static void *end_and_tell(void *life) {
    life_begin(life);
    life_end(life);
    return NULL;
}

PROMISE(who_ended_without_telling_is_known_to_have_ended) {
    pthread_t thread;
    CHECK(pthread_barrier_init(&meet, NULL, 2) == 0);
    for (int round = 0; round < 3; round++) {
        /* One place for all, but ThreadSanitizer takes that for a lock taken twice. */
        struct life *life = &lives[SANITIZED ? round : 0];
        CHECK_EQUAL(life_is_over(life), !SANITIZED && round > 0);
        CHECK(pthread_create(&thread, NULL, end_without_telling, life) == 0);
        pthread_barrier_wait(&meet);
        CHECK(!life_is_over(life));
        pthread_barrier_wait(&meet);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(life_is_over(life));
    }
}

PROMISE(who_told_has_left_nothing) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_and_tell, &lives[3]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!life_is_over(&lives[3]));
}

PROMISE(who_lives_lives) {
    life_begin(&lives[4]);
    CHECK(!life_is_over(&lives[4]));
    life_end(&lives[4]);
}
