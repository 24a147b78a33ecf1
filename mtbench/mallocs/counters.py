"""The serving allocator's own lock counters, read in the worker at the edges of the window."""

from __future__ import annotations

import ctypes
import time
from typing import Any

from mtbench.mallocs import identity

_SUMMED = (
    "acquisitions",
    "spun",
    "waited",
    "wait_ns",
    "owner_switches",
    "hold_ns",
    "hold_samples",
)

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


class Window:
    """The lock counters of the library at `path` between the edges of the window.

    The time they cover begins before the first reading and ends after the second, which take some
    50 us each: a share of it cannot come out above one because a reading was interrupted.

    folders: where the package `allocator` lies, whose extension reads hakmem's. `at_edge` is for
    `workloads.execute`: the threads run while it reads, so it only reads, and `spent` puts into
    words what was read.
    """

    def __init__(self, path: str, folders: list[str]) -> None:
        self._source: _Hakmem | _Jemalloc | None = None
        if identity.where("hak_stats") == path:
            self._source = _Hakmem(folders)
        elif identity.where("mallctl") == path:
            self._source = _Jemalloc()

    def at_edge(self, edge: str) -> None:
        """Read now; `edge` is "opens" or "closes"."""
        try:
            if self._source is not None:
                self._source.read(edge)
        except RuntimeError:  # a hakmem of another version: served, but not read
            self._source = None

    def spent(self) -> dict[str, Any] | None:
        """What was counted between the edges, `counted_s` seconds; None if nothing counts here."""
        if self._source is None:
            return None
        before, after = self._source.words()
        if after is None:
            return None
        counted = self._source.times["closes"] - self._source.times["opens"]
        return {**spent(before, after), "counted_s": round(counted, 6)}


class _Hakmem:
    def __init__(self, folders: list[str]) -> None:
        import allocator

        allocator.__path__[:] = folders
        self.times: dict[str, float] = {}
        self._restart_peaks = allocator.restart_peaks
        self._readings = {"opens": allocator.Reading(), "closes": allocator.Reading()}

    def read(self, edge: str) -> None:
        if edge == "opens":
            self._restart_peaks()
            self.times[edge] = time.perf_counter()
        self._readings[edge].take()
        if edge == "closes":
            self.times[edge] = time.perf_counter()

    def words(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._readings["opens"].words(), self._readings["closes"].words()


def spent(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`after` with each lock's running totals reduced by those of `before`; idle locks left out.

    Locks of one name are told apart by their order, which both readings share.
    """
    earlier = dict(_numbered(before))
    locks = []
    for key, lock in _numbered(after):
        base = earlier.get(key, {})
        used = {
            name: max(value - base.get(name, 0), 0) if name in _SUMMED else value
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


class _Jemalloc:
    """Mutex statistics through mallctl: the global ones, and each kind summed over arenas.

    mallctl answers as of the last `epoch`, so reading them is not urgent. The longest waits and
    the most waiters are those since the process began: jemalloc's own reset of them forgets who
    is waiting, and then counts below zero.
    """

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._mallctl = ctypes.CDLL(None).mallctl
        pointer = ctypes.c_void_p
        self._mallctl.argtypes = (ctypes.c_char_p, pointer, pointer, pointer, ctypes.c_size_t)
        self._epoch = ctypes.c_uint64(1)
        self._before: dict[str, Any] = {}

    def read(self, edge: str) -> None:
        before = time.perf_counter()
        size = ctypes.sizeof(self._epoch)
        self._mallctl(b"epoch", None, None, ctypes.byref(self._epoch), size)
        self.times[edge] = before if edge == "opens" else time.perf_counter()
        if edge == "opens":
            self._before = self._locks()

    def words(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        after = self._locks()
        return self._before, after if after["locks"] else None

    def _locks(self) -> dict[str, Any]:
        arenas = f"stats.arenas.{_ALL_ARENAS}"
        rows = [self._lock(name, f"stats.mutexes.{name}") for name in _JEMALLOC_GLOBAL]
        rows += [
            self._lock(f"arena {name}", f"{arenas}.mutexes.{name}") for name in _JEMALLOC_ARENA
        ]
        bins = self._value("arenas.nbins", ctypes.c_uint32) or 0
        rows += [self._lock(f"bin {i}", f"{arenas}.bins.{i}.mutex") for i in range(bins)]
        return {"version": 1, "locks": [row for row in rows if row is not None]}

    def _value(self, name: str, kind: Any) -> int | None:
        found, size = kind(), ctypes.c_size_t(ctypes.sizeof(kind))
        failed = self._mallctl(name.encode(), ctypes.byref(found), ctypes.byref(size), None, 0)
        return None if failed else int(found.value)

    def _lock(self, name: str, prefix: str) -> dict[str, Any] | None:
        if self._value(f"{prefix}.num_ops", ctypes.c_uint64) is None:
            return None
        fields = {
            key: self._value(f"{prefix}.{leaf}", kind) for key, (leaf, kind) in _JEMALLOC.items()
        }
        return {"name": name, **{key: found or 0 for key, found in fields.items()}}
