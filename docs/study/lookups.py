"""Answers on what a lookup costs: by the number of live chunks, and by the kind of lock.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtbench.statistics import MISSING, Estimate, bootstrap_median, median
from mtbench.table import markdown_table, number
from study import analyse
from study.analyse import Ratio
from study.plan import LOCKS, RUNGS, locked_with, rung
from study.store import Part
from study.words import amount, percentage, phrase, plus_minus, shown, upper

Answer = dict[str, Any]


def chunks(part: Part) -> Answer:
    """What an operation costs over `flat`, by the number of live chunks."""
    places = sorted({_held(name, count) for name, count in _chunk_cells(part)})
    sizes = sorted({size for size, _ in places})
    counts = sorted({count for _, count in places})
    rows, walls = [], []
    for count in counts:
        for name in RUNGS:
            entries = [_chunk_entry(part, name, size, count) for size in sizes]
            rows.append([f"`{name}`", str(count), *entries])
            walls.append(
                [f"`{name}`", str(count), *(_wall(part, name, size, count) for size in sizes)]
            )
    header = ["rung", "threads", *(f"{size:,} chunks".replace(",", " ") for size in sizes)]
    trends = {
        (name, count): _trend(part, name, sizes, count) for name in RUNGS[:-1] for count in counts
    }
    first = counts[0] if counts else 1
    return {
        "finding": _chunk_finding(trends, sizes, first),
        "table": markdown_table(header, rows),
        "walls": markdown_table(header, walls),
        "trends": markdown_table(
            ["rung", "threads", "grown, ns an operation"],
            [
                [f"`{name}`", str(count), plus_minus(found)]
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


def _trend(part: Part, name: str, sizes: Sequence[int], count: int) -> Estimate:
    """How much the extra cost over `flat` grows from the fewest to the most chunks, ns."""
    ends = []
    for size in (sizes[0], sizes[-1]):
        of, flat = _of_chunks(part, name, size, count), _of_chunks(part, "flat", size, count)
        if of is None or flat is None:
            return MISSING
        with np.errstate(divide="ignore", invalid="ignore"):
            ends.append(1e9 * _running(part, count) * (1 / of - 1 / flat))
    with np.errstate(invalid="ignore"):
        return bootstrap_median(np.asarray(ends[1] - ends[0]))


def _chunk_finding(
    trends: dict[tuple[str, int], Estimate], sizes: Sequence[int], count: int
) -> str:
    found = trends.get(("locked", count), MISSING)
    lockless = trends.get(("prealloc-seqlock", count), MISSING)
    if not math.isfinite(found.low):
        return "Too few trials to tell whether the number of chunks matters."
    span = f"from {sizes[0]} to {sizes[-1]:,} live chunks".replace(",", " ")
    threads = f"at {count} thread{'' if count == 1 else 's'}"
    if found.low > 0:
        text = f"It does: {span}, a search under the lock grows by {amount(found)} an operation"
    elif found.high < 0:
        text = f"Not as expected: {span}, a search under the lock shrinks by {amount(found)}"
    else:
        text = f"No difference seen: {span}, a search under the lock changes by {plus_minus(found)}"
    return f"{text} over `flat`, one without it by {plus_minus(lockless)} ({threads})."


def locks(part: Part) -> Answer:
    """Spin, spin then futex, pthread mutex on the `locked` rung."""
    names, threads = part.plan.workloads, part.plan.threads
    rows = []
    for name in names:
        for count in threads:
            data = analyse.cell(part, locked_with("futex"), name, count)
            row = [f"`{name}`", str(count), number(data.estimate().value) if data else "failed"]
            row += [shown(_lock(part, lock, name, count)) for lock in LOCKS[1:]]
            row += [_waited(part, lock, name, count) for lock in LOCKS]
            rows.append(row)
    header = ["workload", "threads", "spin then futex, operations/s", "spin over it",
              "mutex over it", *(f"waited, {lock}" for lock in LOCKS)]  # fmt: skip
    within = [count for count in threads if count <= part.plan.cores]
    beyond = [count for count in threads if count > part.plan.cores]

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
        "table": markdown_table(header, rows, left=1),
    }


def _lock(part: Part, lock: str, name: str, count: int) -> Ratio:
    return analyse.against(part, locked_with(lock), locked_with("futex"), name, count)


def _waited(part: Part, lock: str, name: str, count: int) -> str:
    data = analyse.cell(part, locked_with(lock), name, count)
    found = data.locks.get("registry", []) if data else []
    return percentage(median([entry.wait_share for entry in found])) if found else "-"
