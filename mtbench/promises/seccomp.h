/*
 * Fixed seccomp filters, inherited over exec: what a sandbox or a strict kernel would refuse. The
 * refusing ones are put on in the child, before an arm is started; the killing one by the program
 * itself. inapplicable() where filters are refused.
 */
#ifndef SECCOMP_H
#define SECCOMP_H

/* Refuses with EPERM what a malloc can live without: madvise, mremap, prctl, membarrier, rseq,
 * the NUMA calls, getcpu, sched_getaffinity, sysinfo, getrandom. */
void seccomp_refuse_optional(void);

/* Refuses with ENOMEM private writable mappings, and growth of protection to writable, of 1 GiB
 * and more: what vm.overcommit_memory=2 does to a large reservation. */
void seccomp_refuse_overcommit(void);

/* Answers with SIGSYS, in every thread, whatever a program needs not that computes, sleeps, says a
 * line and ends, on glibc's malloc; the probe is then broken() and names the call. */
void seccomp_only_for_malloc(void);

#endif
