"""What a sweep may be asked for: the one place that checks it, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Union

from mtbench.errors import UsageError
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.bounds import COUNT, EVERY, PAUSE, SECONDS, SEED, THREADS, TRIALS, WINDOW, Number
from mtbench.plan.plan import MOST_THREADS, PINS, Cell, thread_counts
from workloads import Workload

_NUMBERS: Mapping[str, Number] = {
    "trials": TRIALS,
    "duration": WINDOW,
    "warmup": PAUSE,
    "seed": SEED,
    "timeout": SECONDS,
    "latency_every": EVERY,
    "memory": COUNT,
}

Wanted = Union[str, "PathLike[str]", Workload]
"""A workload: a name, several with commas, a TOML file, or the workload itself."""


@dataclass(frozen=True)
class Request:
    """A sweep as it is asked for, by whomever; what is None has its default.

    allocators: names as on the command line, or allocators themselves. cells: these of the grid
    alone. One allocator, workload or number of threads may stand for a list of one, and threads may
    be text such as "1-64". Raises UsageError, one line that names the parameter and what it takes.
    """

    allocators: Sequence[str | Allocator] | None = None
    workloads: Sequence[Wanted] | None = None
    threads: tuple[int, ...] | None = None
    cells: tuple[Cell, ...] | None = None
    trials: int | None = None
    duration: float | None = None
    warmup: float | None = None
    seed: int | None = None
    timeout: float | None = None
    latency_every: int | None = None
    memory: int | None = None
    pin: str | None = None
    verify: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name, number in _NUMBERS.items():
            value = getattr(self, name)
            put(self, name, None if value is None else number.checked(name, value))
        if self.pin is not None and self.pin not in PINS:
            raise UsageError(f"pin {self.pin!r} is not possible; accepted: {', '.join(PINS)}")
        if not isinstance(self.verify, bool):
            raise UsageError(f"verify {self.verify!r} is not possible; accepted: True, False")
        put(self, "allocators", _listed("allocators", self.allocators, (str, Allocator), "names"))
        kinds = (str, PathLike, Workload)
        words = "names, paths of TOML files, Workload objects"
        put(self, "workloads", _listed("workloads", self.workloads, kinds, words))
        put(self, "threads", _counts(self.threads))


def _listed(name: str, given: Any, kinds: tuple[type, ...], words: str) -> list[Any] | None:
    """One or several as a list; None for the default."""
    if given is None:
        return None
    found = [given] if isinstance(given, kinds) or not isinstance(given, Iterable) else list(given)
    for entry in found:
        if not isinstance(entry, kinds):
            raise UsageError(f"{name}: {entry!r} is not possible; accepted: {words}")
    if not found:
        raise UsageError(f"{name} is empty; accepted: {words}, at least one")
    return found


def _counts(given: Any) -> tuple[int, ...] | None:
    if given is None or isinstance(given, str):
        return None if given is None else thread_counts(given)
    found = list(given) if isinstance(given, Iterable) else [given]
    if not found:
        raise UsageError(f"threads is empty; accepted: 1-{MOST_THREADS}, at least one")
    return tuple(sorted({THREADS.checked("threads", count) for count in found}))
