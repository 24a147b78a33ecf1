/* vdso: functions that the kernel lends every process, found without libc.
 *
 * libc's own clock_gettime is a symbol that others take over (libfaketime does), jump with, and
 * allocate in. What it calls itself lies in a small ELF image that the kernel maps.
 */
#ifndef HAK_VDSO_H
#define HAK_VDSO_H

/* The address of a function there, or NULL if there is no image or it has no such function. */
void *vdso_symbol(const char *name);

#endif
