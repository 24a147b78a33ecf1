"""Promises that a malloc is known to break on a correct probe, with the reason."""

from __future__ import annotations

_WAITING = "the quarantine: up to 32 MiB of freed blocks rest before they are used again"
_PINNED = "pages of spans in use stay, as the pattern in free blocks is looked at again"
_HEADERS = "80 bytes around each block, and the quarantine"

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
    "hakmem:check=1": {
        "contents.huge-remap": "every realloc moves, so that a use of the old block is found",
        "back.small-blocks": _WAITING,
        "back.mid-blocks": _WAITING,
        "back.large-blocks": _WAITING,
        "back.freed-elsewhere": _WAITING,
        "back.dead-threads": _WAITING,
        "back.sleeping-threads": f"{_WAITING}, and pages between them stay",
        "back.other-sizes": _HEADERS,
        "threadexit.destructor-free": _WAITING,
        "pressure.mid": _WAITING,
        "pressure.large": _WAITING,
        "pressure.control-group": _HEADERS,
        "peak.phases": _PINNED,
        "peak.rising-phases": _PINNED,
        "peak.drift": _PINNED,
        "growth.steps": "every realloc moves, so that a use of the old block is found",
    },
}
"""Label of `mtbench list allocators` -> promise -> reason. hakmem keeps every one by default."""
