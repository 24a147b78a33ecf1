"""Every execution of a few short threads on memory that is as weak as C11's release and acquire.

The operational model of release-acquire without load buffering: a location is the history of what
was written to it; a thread has a view, for each location the oldest entry it may still read; a load
reads any entry from there on, an acquiring one takes over the view that a releasing store left with
it; a passage of time joins all views. Stores to a location are in the order in which they happen
(here nearly each location has one writer at a time, for which that is no restriction). See Kang,
Hur, Lahav, Vafeiadis, Dreyer: "A promising semantics for relaxed-memory concurrency", POPL 2017, of
which this is the part without promises.

A thread is a generator that yields operations and is sent what they read. Executions that have been
seen are not followed twice: a thread's state is what it has read.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Load:
    place: str
    acquire: bool = False


@dataclass(frozen=True)
class Store:
    place: str
    value: int
    release: bool = False


@dataclass(frozen=True)
class Take:
    """Waits until a location is 0 and makes it 1, acquiring: a lock."""

    place: str


@dataclass(frozen=True)
class Settle:
    """Time enough for every store to be seen and every load before it to be over (idle.h)."""


Operation: TypeAlias = Load | Store | Take | Settle
Thread: TypeAlias = Generator[Operation, int, Any]
View: TypeAlias = tuple[int, ...]


@dataclass
class State:
    """Of one execution so far: histories of (value, view), views and results by thread."""

    places: dict[str, int]
    history: list[list[tuple[int, View]]]
    views: list[list[int]]
    waiting: list[Operation | None]
    read: list[list[int]]
    results: list[Any] = field(default_factory=list)

    def outcomes(self, thread: int) -> range:
        """How many ways the thread's next operation can go."""
        operation = self.waiting[thread]
        place = getattr(operation, "place", next(iter(self.places)))
        assert place in self.places, f"{place} is out of bounds"
        if isinstance(operation, Load):
            at = self.places[operation.place]
            return range(self.views[thread][at], len(self.history[at]))
        if isinstance(operation, Take):
            return range(self.history[self.places[operation.place]][-1][0] == 0)
        return range(operation is not None)

    def step(self, thread: int, outcome: int) -> int:
        """Does the operation in that way; what the thread reads."""
        operation, view = self.waiting[thread], self.views[thread]
        if isinstance(operation, Settle):
            together = [max(of) for of in zip(*self.views, strict=True)]
            self.views = [together[:] for _ in self.views]
            return 0
        assert operation is not None
        at = self.places[operation.place]
        if isinstance(operation, Load):
            value, left = self.history[at][outcome]
            view[at] = outcome
            if operation.acquire:
                view[:] = map(max, view, left)
            return value
        taking = isinstance(operation, Take)
        if taking:
            view[:] = map(max, view, self.history[at][-1][1])
        view[at] = len(self.history[at])
        alone = tuple(view[at] if i == at else 0 for i in range(len(view)))
        released = isinstance(operation, Store) and operation.release
        left = tuple(view) if released or taking else alone
        self.history[at].append((1 if isinstance(operation, Take) else operation.value, left))
        return 0

    def key(self) -> object:
        return (
            tuple(map(tuple, self.history)),
            tuple(map(tuple, self.views)),
            tuple(map(tuple, self.read)),
        )

    def final(self, place: str) -> int:
        return self.history[self.places[place]][-1][0]


def explore(
    threads: Sequence[Callable[[], Thread]],
    initial: Mapping[str, int],
    check: Callable[[State], None],
) -> int:
    """Calls `check` at the end of every execution; how many ended, and none may be stuck."""
    places = {name: i for i, name in enumerate(initial)}
    seen: set[object] = set()
    ended = 0
    paths: list[list[tuple[int, int]]] = [[]]
    while paths:
        path = paths.pop()
        state = replay(threads, places, initial, path)
        if (key := state.key()) in seen:
            continue
        seen.add(key)
        nexts = [(t, o) for t in range(len(threads)) for o in state.outcomes(t)]
        paths += [[*path, step] for step in nexts]
        if not nexts:
            assert all(operation is None for operation in state.waiting), "threads wait for ever"
            ended += 1
            check(state)
    return ended


def replay(
    threads: Sequence[Callable[[], Thread]],
    places: dict[str, int],
    initial: Mapping[str, int],
    path: Sequence[tuple[int, int]],
) -> State:
    nothing = (0,) * len(initial)
    running = [thread() for thread in threads]
    state = State(
        places,
        [[(value, nothing)] for value in initial.values()],
        [list(nothing) for _ in threads],
        [next(thread) for thread in running],
        [[] for _ in threads],
        [None] * len(threads),
    )
    for thread, outcome in path:
        read = state.step(thread, outcome)
        state.read[thread].append(read)
        try:
            state.waiting[thread] = running[thread].send(read)
        except StopIteration as stop:
            state.waiting[thread] = None
            state.results[thread] = stop.value
    return state
