"""The two lock-free protocols of the allocator, in every execution: how the cache of a sleeping
thread is emptied (idle.c, cache.c), and how the registry is read while it changes (registry.c).

Each model follows its C code operation by operation. Each has faults, one change away from the
code, that the search must find: a search that finds no fault proves nothing.
"""

from collections.abc import Callable, Sequence

import pytest

from tests.support.weakmemory import Load, Settle, State, Store, Take, Thread, explore

# ---- The cache of a sleeping thread ---------------------------------------------------------

CACHE, STAND_IN = 1, 0
FIRST = 1  # the stack's first place; under it lies a NULL
BLOCKS = [1, 2, 3, 4]  # the last is the bin's head

INITIAL = {
    "self": CACHE,
    "slow": 0,
    "suspended": 0,
    "lock": 0,
    "base": FIRST,
    "top": FIRST + len(BLOCKS) - 1,
    "head": BLOCKS[-1],
    "stack0": 0,
    **{f"stack{FIRST + i}": block for i, block in enumerate(BLOCKS[:-1])},
    "stack4": 0,
}


def resume() -> Thread:
    """cache.c: resume, and restore; ends inside a slow path."""
    yield Take("lock")
    base, top = (yield Load("base")), (yield Load("top"))
    for i in range(top - base):
        yield Store(f"stack{FIRST + i}", (yield Load(f"stack{base + i}")))
    yield Store("base", FIRST)
    yield Store("top", FIRST + top - base, release=True)
    yield Store("suspended", 0)
    yield Store("slow", 1)
    yield Store("self", CACHE)
    yield Store("lock", 0, release=True)


def load_stack(base: int, top: int) -> Thread:
    blocks = []
    for i in range(base, top):
        block = yield Load(f"stack{i}")
        blocks.append(block)
    return blocks


def leave() -> Thread:
    yield Store("slow", 0, release=True)


def bin_pop(held: list[int]) -> Thread:
    if block := (yield Load("head")):
        top = (yield Load("top")) - 1
        yield Store("top", top, release=True)
        yield Store("head", (yield Load(f"stack{top}")))
        held.append(block)


def bin_push(held: list[int]) -> Thread:
    block = held.pop()
    top, head = (yield Load("top")), (yield Load("head"))
    yield Store(f"stack{top}", head)
    yield Store("head", block)
    yield Store("top", top + 1, release=True)


def fast(work: Callable[[list[int]], Thread], held: list[int]) -> Thread:
    """fast.h: one load of cache_self, then the bin; or the slow way, if it is the stand-in."""
    if (yield Load("self")) == CACHE:
        yield from work(held)
    else:
        yield from resume()
        yield from work(held)
        yield from leave()


def spill(held: list[int]) -> Thread:
    """A slow path that empties the bin, as room_spill does: enter, work, leave."""
    inside = False
    if (yield Load("self")) == CACHE:
        yield Store("slow", 1)
        inside = (yield Load("self")) == CACHE
        if not inside:
            yield Store("slow", 0, release=True)
    if not inside:
        yield from resume()
    base, top, head = (yield Load("base")), (yield Load("top")), (yield Load("head"))
    if head:
        held += [head, *(yield from load_stack(base, top))]
        yield Store("head", 0)
        yield Store("top", base - 1, release=True)
    yield from leave()


def owner(*works: Callable[[list[int]], Thread]) -> Callable[[], Thread]:
    def run() -> Thread:
        held: list[int] = []
        for work in works:
            if work is spill:
                yield from spill(held)
            elif work is bin_pop or held:
                yield from fast(work, held)
        return held

    return run


def emptier(*, settles: bool = True, too_deep: int = 0, asks_slow: bool = True) -> Thread:
    """idle.c: suspend, settle, empty (which takes what lies deeper than an operation reaches)."""
    yield Take("lock")
    if not (yield Load("slow")):
        yield Store("suspended", 1)
        yield Store("self", STAND_IN)
    yield Store("lock", 0, release=True)
    if settles:
        yield Settle()
    taken = []
    yield Take("lock")
    if (yield Load("suspended")) and not (asks_slow and (yield Load("slow", acquire=True))):
        top = yield Load("top", acquire=True)
        base = yield Load("base")
        deep = top - base - 1 + too_deep
        if deep > 0:
            taken = yield from load_stack(base, base + deep)
            yield Store(f"stack{base + deep - 1}", 0)
            yield Store("base", base + deep)
    yield Store("lock", 0, release=True)
    return taken


def no_block_is_lost_or_doubled(state: State) -> None:
    held, taken = state.results
    base, top, head = state.final("base"), state.final("top"), state.final("head")
    rest = [head] if head else []
    rest += [state.final(f"stack{i}") for i in range(base, top)]
    assert sorted(held + taken + rest) == BLOCKS, (held, taken, rest)


WORKS: list[Sequence[Callable[[list[int]], Thread]]] = [
    (bin_pop, bin_pop),
    (bin_pop, bin_push),
    (bin_pop, bin_push, bin_pop),
    (spill,),
    (bin_pop, spill),
    (bin_pop, bin_pop, bin_push),
]


def named(works: Sequence[Callable[[list[int]], Thread]]) -> str:
    return "-".join(work.__name__ for work in works)


@pytest.mark.parametrize("works", WORKS, ids=named)
def test_emptying_a_sleeping_cache_loses_and_doubles_no_block(
    works: Sequence[Callable[[list[int]], Thread]],
) -> None:
    ended = explore([owner(*works), emptier], INITIAL, no_block_is_lost_or_doubled)
    assert ended > 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda: emptier(settles=False),
        lambda: emptier(too_deep=1),
        lambda: emptier(asks_slow=False),
    ],
    ids=["does-not-wait", "takes-one-too-deep", "does-not-ask-for-slow"],
)
def test_the_search_finds_a_faulty_emptier(fault: Callable[[], Thread]) -> None:
    def search() -> None:
        for works in WORKS:
            explore([owner(*works), fault], INITIAL, no_block_is_lost_or_doubled)

    with pytest.raises(AssertionError):
        search()


# ---- The registry's sequence lock -----------------------------------------------------------

# Entries of (start, end, class), sorted; the reader owns a block at 25, which is in class 2.
ENTRIES = [(20, 30, 2)]
ADDED = (10, 20, 1)
TABLE = {"sequence": 0, "entries": len(ENTRIES)} | {
    f"{name}{i}": (ENTRIES[i][k] if i < len(ENTRIES) else 0)
    for i in range(len(ENTRIES) + 1)
    for k, name in enumerate(("start", "end", "cls"))
}


def upper_bound(address: int, *, acquire: bool) -> Thread:
    low, high = 0, (yield Load("entries", acquire=True))
    while low < high:
        middle = low + (high - low) // 2
        if (yield Load(f"start{middle}", acquire=acquire)) <= address:
            low = middle + 1
        else:
            high = middle
    return low


def reader(*, acquire: bool = True, looks_again: bool = True) -> Thread:
    """registry.c: registry_find, two tries; None where the code would go on and take the lock."""
    for _ in range(2):
        before = yield Load("sequence", acquire=True)
        if before & 1 == 0:
            i = yield from upper_bound(25, acquire=acquire)
            found = 0
            if i and (yield Load(f"end{i - 1}", acquire=acquire)) > 25:
                found = yield Load(f"cls{i - 1}", acquire=acquire)
            if not looks_again or (yield Load("sequence")) == before:
                return found
    return None


def writer(*, marks: bool = True, release: bool = True) -> Thread:
    """registry.c: registry_add of an entry before the one there is."""
    if marks:
        yield Store("sequence", 1)
    for name in ("start", "end", "cls"):
        yield Store(f"{name}1", (yield Load(f"{name}0", acquire=True)), release=release)
    for name, value in zip(("start", "end", "cls"), ADDED, strict=True):
        yield Store(f"{name}0", value, release=release)
    yield Store("entries", 2, release=True)
    yield Store("sequence", 2, release=True)


def the_class_is_right(state: State) -> None:
    assert state.results[0] in (None, 2), state.results


def test_a_reader_of_the_registry_finds_its_class_while_an_entry_is_added() -> None:
    assert explore([reader, writer], TABLE, the_class_is_right) > 1


@pytest.mark.parametrize(
    "threads",
    [
        [lambda: reader(acquire=False), writer],
        [lambda: reader(looks_again=False), writer],
        [reader, lambda: writer(marks=False)],
        [reader, lambda: writer(release=False)],
    ],
    ids=["reads-relaxed", "does-not-look-again", "no-odd-number", "stores-relaxed"],
)
def test_the_search_finds_a_faulty_sequence_lock(threads: list[Callable[[], Thread]]) -> None:
    with pytest.raises(AssertionError):
        explore(threads, TABLE, the_class_is_right)
