/* hugepages: for which of its memory the page heap asks the system for huge pages.
 *
 * A huge page costs one fault where its small ones cost 512, and one entry of the TLB; but whoever
 * touches a byte of it holds all of it. So the page heap asks where new memory will soon be touched
 * everywhere, and finds out by looking at what it handed out lately: a page in which some words are
 * not zero was touched. A page that was touched and holds zeros is taken for one that was not.
 *
 * A huge page may also be dear: where memory has to be moved to make room for one, or where this
 * machine is a virtual one whose host has to find the memory first. So whoever is the first to be
 * handed out part of one touches it by the clock. The better they come the more are asked for;
 * where one took milliseconds none is for a while.
 *
 * Where part of a huge page is given back the rest asks for small ones from then on: else the
 * system fills it up again, some time later, with memory that nobody wants.
 *
 * With config.hugepages off nothing is asked for; what the system does by itself, it does.
 */
#ifndef HAK_HUGEPAGES_H
#define HAK_HUGEPAGES_H

#include "pages/descriptor.h"

/* A run was handed out that reads as zero; what it lies in may be touched here. Without locks. */
void hugepages_handed_out(const struct span *run);

/* A piece of memory is new, and in no list yet: asks for huge pages in it if most of what was
 * handed out lately was touched, and for no more than come cheap. Requires GROWTH. */
void hugepages_added(const struct span *piece);

/* Where a purge of a run down to granule `at`, which may be the first behind it, had better end: at
 * the start of the huge page that it would cut in two, if that is the run's too and was asked for.
 */
size_t hugepages_whole(const struct span *run, size_t at);

/* Granules at the run's end that lie in a huge page which it shares with what follows; 0 if none
 * do, or all. */
size_t hugepages_shared(const struct span *run);

/* Pages were given back. */
void hugepages_purged(uintptr_t start, size_t bytes);

#endif
