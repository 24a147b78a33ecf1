/* life: a thread that ended is known to have ended, and one that lives to live. */
#include "life.h"
#include "check.h"

static struct life lives[3];
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
    CHECK(!life_is_over(&lives[0]));
    CHECK(pthread_barrier_init(&meet, NULL, 2) == 0);
    for (int round = 0; round < 3; round++) {
        CHECK(pthread_create(&thread, NULL, end_without_telling, &lives[0]) == 0);
        pthread_barrier_wait(&meet);
        CHECK(!life_is_over(&lives[0]));
        pthread_barrier_wait(&meet);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(life_is_over(&lives[0]));
    }
}

PROMISE(who_told_has_left_nothing) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_and_tell, &lives[1]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!life_is_over(&lives[1]));
}

PROMISE(who_lives_lives) {
    life_begin(&lives[2]);
    CHECK(!life_is_over(&lives[2]));
    life_end(&lives[2]);
}
