/*
 * Fixed seccomp filters, inherited over exec: what a sandbox or a strict kernel would refuse. Each
 * is put on in the child, before an arm is started. inapplicable() where filters are refused.
 */
#ifndef SECCOMP_H
#define SECCOMP_H

/* Refuses with EPERM what a malloc can live without: madvise, mremap, prctl, membarrier, rseq,
 * the NUMA calls, getcpu, sched_getaffinity, sysinfo, getrandom. */
void seccomp_refuse_optional(void);

/* Refuses with ENOMEM private writable mappings, and growth of protection to writable, of 1 GiB
 * and more: what vm.overcommit_memory=2 does to a large reservation. */
void seccomp_refuse_overcommit(void);

#endif
