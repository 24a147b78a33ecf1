/* span: a run of granules cut into blocks of one class.
 *
 * It keeps one bit a block, set while the block is in the span (neither handed out nor in a store):
 * free == popcount(bits). Up to 64 blocks in the descriptor, more in a table of bitmaps beside it,
 * where those of eight short spans share a page. The class's span lock protects them.
 */
#ifndef HAK_SPAN_H
#define HAK_SPAN_H

#include "pages/descriptor.h"

/* Cuts a used span into blocks of its class, all of them free. Touches its bitmap, not the span. */
void span_cut(struct span *span, unsigned cls);

/* Into about how many of its pages the blocks that are out reach, if those are any of its own. */
uint32_t span_pages_needed(const struct span *span);

/* Takes up to n free blocks, lowest addresses first; returns how many. */
unsigned span_take(struct span *span, void **out, unsigned n);

/* Puts back the first of `blocks`, which lies in the span, and those that follow it as long as they
 * do too; returns how many. Fewer, and 0 if it is the first, if one is not the start of a block or
 * is free already: the caller's caller freed it twice or freed something else. */
unsigned span_put(struct span *span, void *const *blocks, unsigned n);

/* The next whole pages that lie under free blocks alone, and behind the last, as offsets from the
 * span's start: looked for from *from on; false if there are none. */
bool span_free_pages(struct span *span, size_t *from, size_t *to);

/* The start of the block that holds `address`. */
void *span_block_of(const struct span *span, const void *address);

#endif
