/* Every area of promises, each defined in the file of its name. */
#ifndef AREAS_H
#define AREAS_H

#include "probe.h"

extern const struct area alignment_area, refusal_area, zero_area, errno_area, contents_area,
    usable_area, overlap_area, back_area, limits_area, extras_area, cxx_area, handover_area,
    threadexit_area, processexit_area, fork_area, signals_area, loading_area, start_area,
    exhaustion_area, pressure_area, sandbox_area, hooks_area, names_area, peak_area, rest_area,
    threadcost_area, growth_area, misuse_area, misuse_arms_area;

#endif
