/*
 * busy: threads that take, check and free blocks of every kind while a probe does something else.
 */
#ifndef BUSY_H
#define BUSY_H

#include <pthread.h>
#include <stddef.h>

enum { BUSY_MOST = 4 };

/* Starts `threads` of them, at most BUSY_MOST, with blocks of up to `limit` bytes. Returns their
 * handles. */
const pthread_t *busy_begin(size_t threads, size_t limit);

/* Has them free what they hold, and joins them. */
void busy_end(void);

#endif
