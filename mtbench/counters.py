"""The serving allocator's own lock counters, read inside the worker before and after the run."""

from __future__ import annotations

import ctypes
from typing import Any

from mtbench import identity

_SUMMED = ("acquisitions", "spun", "waited", "wait_ns", "owner_switches")

_JEMALLOC = {
    "acquisitions": ("num_ops", ctypes.c_uint64),
    "spun": ("num_spin_acq", ctypes.c_uint64),
    "waited": ("num_wait", ctypes.c_uint64),
    "wait_ns": ("total_wait_time", ctypes.c_uint64),
    "max_wait_ns": ("max_wait_time", ctypes.c_uint64),
    "owner_switches": ("num_owner_switch", ctypes.c_uint64),
    "max_waiters": ("max_num_thds", ctypes.c_uint32),
}
_JEMALLOC_GLOBAL = ("background_thread", "ctl", "prof")
_JEMALLOC_ARENA = (
    "large",
    "extent_avail",
    "extents_dirty",
    "extents_muzzy",
    "extents_retained",
    "decay_dirty",
    "decay_muzzy",
    "base",
    "tcache_list",
)
_ALL_ARENAS = 4096


def read(path: str, folders: list[str]) -> dict[str, Any] | None:
    """Counters of the library at `path` since the process began; None if it keeps none.

    folders: where the package `allocator` lies, whose extension reads hakmem's.
    """
    if identity.where("hak_stats") == path:
        import allocator

        allocator.__path__[:] = folders
        return allocator.stats()
    if identity.where("mallctl") == path:
        return _jemalloc()
    return None


def spent(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any] | None:
    """`after` with each lock's running totals reduced by those of `before`; idle locks left out.

    Locks of one name are told apart by their order, which both readings share.
    """
    if before is None or after is None:
        return None
    earlier = dict(_numbered(before))
    locks = []
    for key, lock in _numbered(after):
        base = earlier.get(key, {})
        used = {
            name: value - base.get(name, 0) if name in _SUMMED else value
            for name, value in lock.items()
        }
        if used["acquisitions"]:
            locks.append(used)
    return {**after, "locks": locks}


def _numbered(reading: dict[str, Any]) -> list[tuple[tuple[str, int], dict[str, Any]]]:
    seen: dict[str, int] = {}
    numbered = []
    for lock in reading.get("locks", []):
        place = seen[lock["name"]] = seen.get(lock["name"], -1) + 1
        numbered.append(((lock["name"], place), lock))
    return numbered


def _jemalloc() -> dict[str, Any] | None:
    """Mutex statistics through mallctl: the global ones, and each kind summed over arenas."""
    mallctl = ctypes.CDLL(None).mallctl
    mallctl.argtypes = (
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
    )
    epoch = ctypes.c_uint64(1)
    mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.sizeof(epoch))

    def value(name: str, kind: Any) -> int | None:
        found, size = kind(), ctypes.c_size_t(ctypes.sizeof(kind))
        failed = mallctl(name.encode(), ctypes.byref(found), ctypes.byref(size), None, 0)
        return None if failed else int(found.value)

    def lock(name: str, prefix: str) -> dict[str, Any] | None:
        if value(f"{prefix}.num_ops", ctypes.c_uint64) is None:
            return None
        fields = {key: value(f"{prefix}.{leaf}", kind) for key, (leaf, kind) in _JEMALLOC.items()}
        return {"name": name, **{key: found or 0 for key, found in fields.items()}}

    arenas = f"stats.arenas.{_ALL_ARENAS}"
    rows = [lock(name, f"stats.mutexes.{name}") for name in _JEMALLOC_GLOBAL]
    rows += [lock(f"arena {name}", f"{arenas}.mutexes.{name}") for name in _JEMALLOC_ARENA]
    bins = value("arenas.nbins", ctypes.c_uint32) or 0
    rows += [lock(f"bin {index}", f"{arenas}.bins.{index}.mutex") for index in range(bins)]
    locks = [row for row in rows if row is not None]
    return {"version": 1, "locks": locks} if locks else None
