/*
 * Threads for probes: started together, joined together, on small stacks so that hundreds fit.
 */
#ifndef TEAM_H
#define TEAM_H

#include <pthread.h>
#include <stddef.h>

/* Runs work(index, argument) in `threads` threads that begin together; returns when all are done.
 */
void team_run(size_t threads, void (*work)(size_t index, void *argument), void *argument);

/* Starts one thread, broken() if refused; joins it with thread_join. */
pthread_t thread_start(void *(*work)(void *), void *argument);
pthread_t thread_start_with_stack(void *(*work)(void *), void *argument, size_t stack_bytes);
void thread_join(pthread_t thread);

void sleep_milliseconds(unsigned milliseconds);

#endif
