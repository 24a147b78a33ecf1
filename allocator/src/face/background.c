#define _GNU_SOURCE
#include "face/background.h"
#include "base/config.h"
#include "base/decay.h"
#include "base/os.h"

#include <pthread.h>
#include <signal.h>

/* For decay's work, and for the thread-local storage of large programs, which lies here too. */
#define STACK ((size_t)256 * KIB)

static void *drive(void *unused) {
    for (;;) {
        os_pause_ms(config.decay_ms / 2 + 1);
        decay_run_if_due();
    }
    return unused;
}

void background_start(void) {
    pthread_attr_t attributes;
    if (!config.background || pthread_attr_init(&attributes) != 0) {
        return;
    }
    /* Signals are the program's to handle, in its own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, drive, NULL) == 0) {
        pthread_setname_np(thread, "hakmem");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}
