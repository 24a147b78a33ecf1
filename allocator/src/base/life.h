/* life: whether a thread still lives, known to all without asking the kernel.
 *
 * A thread holds a robust mutex for as long as it lives; of one that ends holding it, the kernel
 * itself says so in the mutex's word. Whoever asks only reads. Where a C library or a kernel has it
 * not, a thread that ended without telling counts as alive.
 */
#ifndef HAK_LIFE_H
#define HAK_LIFE_H

#include "base/base.h"

#include <pthread.h>

struct life {
    pthread_mutex_t mutex;
};

void life_init(void);

/* The calling thread's, from now until it ends it. The memory must stay until then. */
void life_begin(struct life *life);
void life_end(struct life *life);

/* True once a thread has ended without having ended its life here. */
bool life_is_over(const struct life *life);

#endif
