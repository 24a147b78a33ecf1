"""Answers on what a lookup costs: by the number of live chunks, and by the kind of lock.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mtbench.analysis.statistics import median
from mtbench.base.table import number
from mtbench.mallocs.ladder import REGISTRIES
from plots.data import Estimate
from plots.pages.table import markdown_table
from study import analyse
from study.analyse import NO_DIFFERENCE, Difference, Ratio
from study.plan import LOCKS, locked_with, rung
from study.store import Part
from study.words import Answer, amount, marked, percentage, phrase, plus_minus, shown, unseen, upper


def chunks(part: Part) -> Answer:
    """What an operation costs over `flat`, by the number of live chunks."""
    places = sorted({_held(name, count) for name, count in _chunk_cells(part)})
    sizes = sorted({size for size, _ in places})
    counts = sorted({count for _, count in places})
    rows, walls = [], []
    for count in counts:
        for name in REGISTRIES:
            entries = [_chunk_entry(part, name, size, count) for size in sizes]
            place = [f"`{name}`", marked(count, part.plan.cores)]
            rows.append([*place, *entries])
            walls.append([*place, *(_wall(part, name, size, count) for size in sizes)])
    header = ["rung", "threads", *(f"{size:,} chunks".replace(",", " ") for size in sizes)]
    trends = {
        (name, count): _trend(part, name, sizes, count)
        for name in REGISTRIES[:-1]
        for count in counts
    }
    first = counts[0] if counts else 1
    return {
        "finding": _chunk_finding(trends, sizes, first),
        "table": markdown_table(header, rows),
        "walls": markdown_table(header, walls),
        "trends": markdown_table(
            ["rung", "threads", "grown, ns per operation"],
            [
                [f"`{name}`", marked(count, part.plan.cores), plus_minus(found.estimate)]
                for (name, count), found in trends.items()
            ],
        ),
        "most": f"{max(sizes, default=0):,}".replace(",", " "),
        "sizes": sizes,
        "threads": counts,
    }


def _chunk_cells(part: Part) -> list[tuple[str, int]]:
    return [(cell.workload, cell.threads) for cell in part.plan.cells]


def _held(name: str, count: int) -> tuple[int, int]:
    return int(name.removeprefix("held-").partition("-")[0]), count


def _of_chunks(part: Part, name: str, size: int, count: int) -> Any:
    workload = f"held-{size}" if count == 1 else f"held-{size}-x{count}"
    return analyse.throughput(part, rung(name), workload, count)


def over_flat(part: Part, name: str, size: int, count: int) -> Estimate:
    """ns of thread time an operation takes longer than with `flat` and as many chunks."""
    return analyse.apart(_over_flat(part, name, size, count)).estimate


def _over_flat(part: Part, name: str, size: int, count: int) -> analyse.Floats | None:
    return analyse.extra(
        _of_chunks(part, name, size, count),
        _of_chunks(part, "flat", size, count),
        _running(part, count),
    )


def _running(part: Part, count: int) -> int:
    """Threads that can run at once: beyond the cores, thread time is the cores' time."""
    return min(count, part.plan.cores)


def _chunk_entry(part: Part, name: str, size: int, count: int) -> str:
    if name != "flat":
        return plus_minus(over_flat(part, name, size, count))
    values = analyse.nanoseconds(_of_chunks(part, name, size, count), _running(part, count))
    middle = math.nan if values is None else median(values)
    return f"{middle:.1f} ns" if math.isfinite(middle) else "failed"


def _wall(part: Part, name: str, size: int, count: int) -> str:
    workload = f"held-{size}" if count == 1 else f"held-{size}-x{count}"
    values = part.walls.get((rung(name), workload, count), [])
    return f"{median(values):.2f} s" if values else "-"


def _trend(part: Part, name: str, sizes: Sequence[int], count: int) -> Difference:
    """How much the extra cost over `flat` grows from the fewest to the most chunks, ns."""
    few, many = (_over_flat(part, name, size, count) for size in (sizes[0], sizes[-1]))
    return NO_DIFFERENCE if few is None or many is None else analyse.apart(many, few)


def _chunk_finding(
    trends: dict[tuple[str, int], Difference], sizes: Sequence[int], count: int
) -> str:
    found = trends.get(("locked", count), NO_DIFFERENCE)
    lockless = trends.get(("prealloc-seqlock", count), NO_DIFFERENCE)
    if found.trials == 0:
        return "Not measured: a rung has no number at the fewest or the most chunks."
    if found.trials < 3:
        return "Too few trials to tell whether the number of chunks matters."
    span = f"from {sizes[0]} to {sizes[-1]:,} live chunks".replace(",", " ")
    threads = f"at {count} thread{'' if count == 1 else 's'}"
    if found.sign > 0:
        first, change = "It does", f"grows by {amount(found.estimate)}"
    elif found.sign < 0:
        first, change = "Not as expected", f"shrinks by {amount(found.estimate)}"
    else:
        first = upper(unseen(found).rstrip(","))
        change = f"changes by {plus_minus(found.estimate)}"
    return (
        f"{first}: {span}, a search under the lock {change} per operation over `flat`; for one "
        f"without the lock {_change(lockless)} ({threads})."
    )


def _change(found: Difference) -> str:
    if found.trials == 0:
        return "it was not measured"
    text = f"the change is {plus_minus(found.estimate)}"
    if found.trials < 3:
        return f"{text}, too few trials"
    return text if found.sign else f"{text}, {unseen(found).rstrip(',')}"


def locks(part: Part) -> Answer:
    """Spin, spin then futex, pthread mutex on the `locked` rung."""
    names, threads = part.plan.workloads, part.plan.threads
    rows = []
    for name in names:
        for count in threads:
            data = analyse.cell(part, locked_with("futex"), name, count)
            row = [f"`{name}`", marked(count, part.plan.cores)]
            row += [number(data.estimate().value) if data else "failed"]
            row += [shown(_lock(part, lock, name, count)) for lock in LOCKS[1:]]
            row += [_waited(part, lock, name, count) for lock in LOCKS]
            rows.append(row)
    header = ["workload", "threads", "spin then futex, operations/s", "spin over it",
              "mutex over it", *(f"waited, {lock}" for lock in LOCKS)]  # fmt: skip
    within, beyond = analyse.within(part), analyse.beyond(part)

    def pool(lock: str, counts: Sequence[int]) -> str:
        found = analyse.pooled(_lock(part, lock, name, n) for name in names for n in counts)
        title = {"spin": "pure spinning", "mutex": "a pthread mutex"}[lock]
        return phrase(found, title, "spinning and then sleeping")

    clauses = []
    if within:
        clauses.append(
            f"with at most as many threads as cores, {pool('spin', within)}, and "
            f"{pool('mutex', within)}"
        )
    if beyond:
        clauses.append(
            f"with more threads than cores, {pool('spin', beyond)}, and {pool('mutex', beyond)}"
        )
    return {
        "finding": upper("; ".join(clauses)) + " (geometric means).",
        "table": markdown_table(header, rows),
    }


def _lock(part: Part, lock: str, name: str, count: int) -> Ratio:
    return analyse.against(part, locked_with(lock), locked_with("futex"), name, count)


def _waited(part: Part, lock: str, name: str, count: int) -> str:
    data = analyse.cell(part, locked_with(lock), name, count)
    found = data.locks.get("registry", []) if data else []
    return percentage(median([entry.wait_share for entry in found])) if found else "-"
