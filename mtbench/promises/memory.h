/*
 * What the process has of memory, asked without allocating any. All quantities are bytes; a
 * figure that cannot be read ends the probe as inapplicable.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

enum { KIB = 1024, MIB = 1024 * 1024 };

/* Zeroed pages for a probe's own tables, never given back. */
void *memory_pages(size_t bytes);

size_t memory_page(void);
size_t memory_resident(void);
size_t memory_virtual(void);

/* The highest resident size since the last reset. */
size_t memory_peak(void);
void memory_reset_peak(void);

/* Number of mappings. */
size_t memory_mappings(void);

/* Free memory of the machine, as the kernel estimates it. */
size_t memory_available(void);

/* setrlimit of this process, for good; broken() if refused. */
void memory_limit_address_space(size_t bytes);
void memory_limit_data(size_t bytes);

#endif
