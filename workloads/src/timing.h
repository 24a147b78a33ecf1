/* What timing an operation costs, and so how often it may be done. Reading the time stamp counter
 * takes 7 ns on bare metal and 23 ns on some virtual machines, twice for each operation timed. */
#ifndef WORKLOADS_TIMING_H
#define WORKLOADS_TIMING_H

/* Nanoseconds that timing adds to an operation, measured now in a tenth of a millisecond. */
double timing_cost(void);

#endif
