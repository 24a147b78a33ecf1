"""Promises that a malloc is known to break on a correct probe, with the reason."""

from __future__ import annotations

EXCEPTIONS: dict[str, dict[str, str]] = {
    "system": {
        "refusal.aligned_alloc-einval": "glibc before 2.38: aligned_alloc is memalign, which "
        "rounds the alignment up",
        "errno.success-refusal": "glibc: realloc falls back to a copy when mremap fails, and "
        "leaves the ENOMEM of the failed call behind",
        "back.freed-elsewhere": "glibc: the thread's own table, kept for reuse above the freed "
        "blocks, pins the top of the heap; malloc_trim gets round it",
    },
    "hakmem": {},
    "hakmem-fixed": {},
}
"""Label of `mtbench list allocators` -> promise -> reason. hakmem keeps every promise."""
