/* background: a thread that drives decay while nobody else does.
 *
 * Only with config.background: a second thread is seen by the program (unshare, setns and some
 * sandboxes refuse where there is one), costs some 20 KiB, and wakes twice a decay period. Without
 * it a process that sleeps keeps what the bound on free memory (dirty.h) let it keep.
 */
#ifndef HAK_BACKGROUND_H
#define HAK_BACKGROUND_H

/* Starts the thread, if it is wanted; if the system refuses, all is as without. Where threads can
 * be created: not while the allocator is brought up. Also in the child of a fork, which has none.
 */
void background_start(void);

#endif
