/* hakmem: a general malloc for Linux, made to be studied and to win.
 *
 * Three ways to use it: preload libhakmem.so (it then is the process's malloc), link with the
 * hak_ functions below, or import `allocator` from Python.
 *
 * Every function is thread-safe and fork-safe, never takes a lock on its fast path, leaves errno
 * alone on success, and on failure returns NULL with errno ENOMEM (EINVAL where it says so). Blocks
 * of every size are aligned to 16 bytes. Any function here may free any other's blocks.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAK_EXPORT __attribute__((visibility("default")))

/* C's own allocation functions, with glibc's documented behaviour where C leaves room:
 * hak_malloc(0) is a unique block; hak_realloc(p, 0) frees p and returns NULL. */
HAK_EXPORT void *hak_malloc(size_t size);
HAK_EXPORT void *hak_calloc(size_t count, size_t size);
HAK_EXPORT void *hak_realloc(void *block, size_t size);
HAK_EXPORT void *hak_reallocarray(void *block, size_t count, size_t size);
HAK_EXPORT void hak_free(void *block);

/* C23: `size` and `alignment` are what was asked for; they are hints, checked in checked mode. */
HAK_EXPORT void hak_free_sized(void *block, size_t size);
HAK_EXPORT void hak_free_aligned_sized(void *block, size_t alignment, size_t size);

/* Aligned allocation. aligned_alloc: EINVAL unless `alignment` is a power of two; memalign rounds
 * it up to one, as glibc does. posix_memalign returns its error and leaves *out alone. */
HAK_EXPORT void *hak_aligned_alloc(size_t alignment, size_t size);
HAK_EXPORT void *hak_memalign(size_t alignment, size_t size);
HAK_EXPORT int hak_posix_memalign(void **out, size_t alignment, size_t size);
HAK_EXPORT void *hak_valloc(size_t size);
HAK_EXPORT void *hak_pvalloc(size_t size);

/* Bytes that may be used at `block`, at least what was asked for; 0 for NULL. */
HAK_EXPORT size_t hak_usable_size(const void *block);

/* Returns every free page to the system now, this thread's cache included. 1 if any went back. */
HAK_EXPORT int hak_trim(void);

/* ---- What the allocator is ---------------------------------------------------------------- */

/* "runtime" or "fixed": whether switches were read from the environment or compiled in. */
HAK_EXPORT const char *hak_flavour(void);
/* SHA-256 over the sources and flags this library was made from, and the flags themselves. */
HAK_EXPORT const char *hak_source_hash(void);
HAK_EXPORT const char *hak_build_flags(void);

/* The configuration in force. Switches are numbered from 0; hak_config_name is NULL beyond the
 * last. hak_config_value and _default write a text to `text` (64 bytes are always enough) and
 * return it. hak_config_allowed is every value with blanks between, or in words from what " to "
 * what a number goes. */
HAK_EXPORT const char *hak_config_name(int index);
HAK_EXPORT const char *hak_config_value(int index, char *text, size_t bytes);
HAK_EXPORT const char *hak_config_allowed(int index);
HAK_EXPORT const char *hak_config_default(int index, char *text, size_t bytes);
HAK_EXPORT const char *hak_config_help(int index);

/* ---- What it did: counters ----------------------------------------------------------------- */

#define HAK_STATS_VERSION 1
#define HAK_STATS_LOCKS 320
#define HAK_STATS_BOXES 8

/* One lock's counters, the ones jemalloc's users know. Times in nanoseconds; they are taken from
 * the first call of hak_stats or hak_stats_restart_peaks on: not every program may read that clock.
 */
struct hak_lock_stats {
    char name[32];
    uint64_t acquisitions;   /* all */
    uint64_t spun;           /* of these, obtained after spinning */
    uint64_t waited;         /* of these, obtained after sleeping */
    uint64_t wait_ns;        /* time from first attempt to acquisition, or to now */
    uint64_t max_wait_ns;    /* the longest of these */
    uint64_t owner_switches; /* acquisitions by another thread than the one before */
    uint64_t max_waiters;    /* most threads asleep or spinning at once */
    uint64_t hold_ns;        /* time held, over the sampled acquisitions (1 in 64) */
    uint64_t hold_samples;
};

/* One box's counters. The fast path counts nothing, so allocations and frees are the blocks that
 * crossed between thread caches and the central store (or, for huge blocks, all). */
struct hak_box_stats {
    char name[16];
    uint64_t allocations;     /* blocks drawn from the central store */
    uint64_t frees;           /* blocks returned to it */
    uint64_t refills;         /* slow paths of malloc */
    uint64_t flushes;         /* slow paths of free */
    uint64_t bytes_in_use;    /* in the program's hands, at block size */
    uint64_t bytes_cached;    /* free, in thread caches and central stores */
    uint64_t bytes_committed; /* in spans or mappings of this box */
    uint64_t purges;          /* times pages went back to the system */
};

struct hak_stats {
    uint32_t version; /* HAK_STATS_VERSION */
    uint32_t lock_count;
    uint32_t box_count;
    uint32_t threads;        /* thread caches in use */
    uint64_t active_threads; /* of these, active in the last decay period */
    uint64_t cache_budget;   /* bytes one thread may cache now */
    uint64_t reserved_bytes; /* address space claimed so far */
    uint64_t committed_bytes;
    uint64_t dirty_bytes;   /* free pages that still hold memory */
    uint64_t purged_bytes;  /* returned to the system since start */
    uint64_t foreign_frees; /* pointers given to the libc that owns them */
    uint64_t idle_taken;    /* blocks taken from the caches of sleeping threads */
    uint64_t leaked_blocks; /* dropped by the cascade-leak rung */
    uint64_t registry_entries;
    uint64_t registry_lookups;
    uint64_t registry_retries; /* sequence-lock readers that had to look again */
    uint64_t registry_growths;
    uint64_t bigcache_hits;
    uint64_t bigcache_misses;
    uint64_t bigcache_bytes;
    uint64_t huge_threshold;  /* bytes; larger blocks are mapped one by one */
    uint64_t learner_matches; /* pairs of thresholds compared */
    uint64_t learner_moves;   /* times the leading threshold changed */
    struct hak_box_stats box[HAK_STATS_BOXES];
    struct hak_lock_stats lock[HAK_STATS_LOCKS];
};

/* Fills *out (sizeof(struct hak_stats) == bytes, else -1 is returned and nothing written). Walks
 * caches and locks without stopping anyone: each number is right, their sum is of no one moment. */
HAK_EXPORT int hak_stats(struct hak_stats *out, size_t bytes);

/* Forgets each lock's longest wait and most waiters: a later hak_stats tells those since. */
HAK_EXPORT void hak_stats_restart_peaks(void);

#ifdef __cplusplus
}
#endif
#endif
