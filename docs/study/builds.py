"""Answers on hakmem as a whole: its two builds, profile guidance, its peers, and crowds.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from mtbench.rank import Standing, standings
from mtbench.statistics import geometric_mean, median
from mtbench.table import bytes_, markdown_table, number
from mtbench.table import ratio as bracketed
from study import analyse
from study.analyse import FASTER, SLOWER, Ratio
from study.plan import CONFIG_WORKLOADS, PEERS, PGO, PLAIN, SMALL_BUDGET, SPIN, TRAINED
from study.store import Part
from study.words import by_verdict, listed, phrase, shown, times, upper

Answer = dict[str, Any]

LOCAL, SHARED = "mid_gap", "mid_exchange"
OWNED = ("mimalloc", "mimalloc-pypi", "tbbmalloc", "system", "jemalloc")
"""Mallocs that return a block to the thread's heap or the arena it came from."""
OWNERLESS = ("hakmem", "tcmalloc")
"""Mallocs in which whoever frees a block may hand it out again."""


def _pairs(part: Part, of: str, over: str) -> dict[tuple[str, int], Ratio]:
    return {
        (name, count): analyse.against(part, of, over, name, count)
        for name in part.plan.workloads
        for count in part.plan.threads
    }


def _pair_table(part: Part, over: str, found: dict[tuple[str, int], Ratio], what: Any) -> str:
    rows = []
    for (name, count), entry in found.items():
        data = analyse.cell(part, over, name, count)
        base = number(data.estimate().value) if data else "failed"
        verdict = entry.verdict if entry.cells else "-"
        rows.append([f"`{name}`", what(name), str(count), base, shown(entry), verdict])
    return markdown_table(
        ["workload", "", "threads", f"{over}, operations/s", "ratio [95 %]", "verdict"],
        rows,
        left=2,
    )


def config(part: Part) -> Answer:
    """Switches compiled in against switches read at start."""
    found = _pairs(part, "hakmem-fixed", "hakmem")
    whole = analyse.pooled(found.values())
    huge = analyse.pooled(entry for (name, _), entry in found.items() if name == "huge_mixed")
    return {
        "finding": (
            f"{upper(phrase(whole, 'the constant build', 'the runtime build'))} over all sizes; at "
            f"2 MiB and above, where the seed hoped for 2 to 4 %, "
            f"{phrase(huge, 'it', 'the runtime build')}."
        ),
        "verdicts": by_verdict(list(found.values())),
        "table": _pair_table(part, "hakmem", found, lambda name: CONFIG_WORKLOADS.get(name, "")),
        "ratios": found,
    }


def pgo(part: Part) -> Answer:
    """A profile-guided build against a plain one, on what it was trained on and on the rest."""
    found = _pairs(part, PGO, PLAIN)
    trained = analyse.pooled(entry for (name, _), entry in found.items() if name in TRAINED)
    rest = analyse.pooled(entry for (name, _), entry in found.items() if name not in TRAINED)
    hoped = {True: "the seed's hope of 6 to 13 % holds there", False: ""}[
        trained.cells > 0 and trained.estimate.low > 1.06
    ] or (
        "that is less than the 6 to 13 % that the seed hoped for"
        if trained.cells and trained.estimate.high < 1.06
        else "whether it is the 6 to 13 % of the seed's hope, the interval leaves open"
    )
    return {
        "finding": (
            f"{upper(phrase(trained, 'the guided build', 'the plain one'))} on the workloads that "
            f"it was trained on, and {hoped}; on others, "
            f"{phrase(rest, 'the guided build', 'the plain one')}."
        ),
        "verdicts": by_verdict(list(found.values())),
        "table": _pair_table(
            part, PLAIN, found, lambda name: "trained" if name in TRAINED else "not trained"
        ),
        "ratios": found,
    }


def peers(part: Part) -> Answer:
    """hakmem against the best other malloc of each cell."""
    rows, absent = ranked(part)
    mean = _mean(rows)
    names = list(dict.fromkeys(row.workload for row in sorted(rows, key=lambda r: r.workload)))
    means = {name: _mean([row for row in rows if row.workload == name]) for name in names}
    order = sorted(names, key=lambda name: -means[name].estimate.value)
    ahead = [name for name in order if means[name].verdict == FASTER]
    behind = [name for name in reversed(order) if means[name].verdict == SLOWER]
    listing = sorted(rows, key=lambda row: (order.index(row.workload), row.threads))
    won = sum(row.verdict == FASTER for row in rows)
    lost = sum(row.verdict == SLOWER for row in rows)
    lean = [row.memory_ratio.value for row in rows if math.isfinite(row.memory_ratio.value)]
    word = {FASTER: "ahead of", SLOWER: "behind"}.get(mean.verdict, "not surely apart from")
    return {
        "finding": (
            f"hakmem is {word} the best other malloc of each cell, {times(mean)} in the geometric "
            f"mean of {len(rows)} cells: faster in {won}, slower in {lost}, undecided in "
            f"{len(rows) - won - lost}."
        ),
        "ahead": _named(ahead, means),
        "behind": _named(behind, means),
        "undecided": listed([f"`{name}`" for name in order if name not in (*ahead, *behind)]),
        "lean": sum(value <= 1 for value in lean),
        "of": len(lean),
        "memory": f"{geometric_mean(lean):.2f}" if lean else "-",
        "absent": listed(absent) if absent else "",
        "others": listed([f"`{name}`" for name in PEERS if name in part.plan.allocators]),
        "table": markdown_table(
            ["workload", "threads", "hakmem", "best other", "", "ratio [95 %]", "verdict",
             "memory", "leanest of 3", "ratio"],
            [_rank_row(row) for row in listing],
        ),
        "means": markdown_table(
            ["workload", "over the best other"],
            [[f"`{name}`", shown(means[name])] for name in order],
        ),
        "rows": rows,
        "order": order,
    }  # fmt: skip


def _mean(rows: Sequence[Standing]) -> Ratio:
    return analyse.pooled(Ratio(row.ratio, row.verdict, 1, row.by_block) for row in rows)


def ranked(part: Part) -> tuple[list[Standing], list[str]]:
    """Every cell of hakmem against the installed peers."""
    others = [name for name in PEERS if name in part.plan.allocators]
    return standings("hakmem", others, part.plan, part.results)


def _named(names: Sequence[str], means: dict[str, Ratio]) -> str:
    return listed([f"`{name}` ({times(means[name])})" for name in names])


def _rank_row(row: Standing) -> list[str]:
    memory = row.memory_ratio.value
    return [
        f"`{row.workload}`",
        str(row.threads),
        number(row.throughput),
        row.best,
        number(row.best_throughput),
        bracketed(row.ratio),
        row.verdict,
        bytes_(row.memory),
        row.leanest,
        f"{memory:.2f}" if math.isfinite(memory) else "-",
    ]


def crowd(part: Part) -> Answer:
    """What is left of the speed of threads = cores when there are more, and why."""
    cores, most = part.plan.cores, max(part.plan.threads)
    labels = [label for label in part.plan.allocators if label != "null"]
    crowds = [count for count in part.plan.threads if count > cores]
    rows = []
    for workload in (LOCAL, SHARED):
        for label in labels:
            data = analyse.cell(part, label, workload, cores)
            base = number(data.estimate().value) if data else "failed"
            kept = [shown(analyse.kept_speed(part, label, workload, count)) for count in crowds]
            rows.append(
                [f"`{workload}`", f"`{label}`", base, *kept, _peak(part, label, workload, most)]
            )
    header = ["workload", "allocator", f"{cores} threads, operations/s",
              *(f"{count} over {cores}" for count in crowds), f"peak at {most}"]  # fmt: skip
    owned, ownerless = (_group(part, group, most) for group in (OWNED, OWNERLESS))
    owner = analyse.pooled(
        _apart(_group(part, OWNERLESS, count), _group(part, OWNED, count)) for count in crowds
    )
    spin, caches = (_holding(part, other, crowds) for other in (SPIN, SMALL_BUDGET))
    effects = {
        "owner-returned blocks": owner,
        "spin locks": spin,
        "small thread caches": caches,
    }
    deciding = sorted(
        (name for name, found in effects.items() if found.verdict == FASTER),
        key=lambda name: -effects[name].estimate.value,
    )
    return {
        "finding": _decided(deciding, effects, most),
        "cores": cores,
        "most": most,
        "owner": times(owner),
        "owned": listed([f"`{name}`" for name in OWNED if name in labels]),
        "ownerless": listed([f"`{name}`" for name in OWNERLESS if name in labels]),
        "owned_kept": times(analyse.pooled(owned)),
        "ownerless_kept": times(analyse.pooled(ownerless)),
        "local_owned": times(analyse.pooled(_group(part, OWNED, most, LOCAL))),
        "local_ownerless": times(analyse.pooled(_group(part, OWNERLESS, most, LOCAL))),
        "spin": _holds(spin, "pure spinning"),
        "spin_speed": times(analyse.pooled(_crowded(part, "hakmem", SPIN, crowds))),
        "caches": _holds(caches, "a budget of 1 MiB for all thread caches"),
        "cache_speed": times(analyse.pooled(_crowded(part, "hakmem", SMALL_BUDGET, crowds))),
        "cache_memory": (
            f"{_peak(part, 'hakmem', SHARED, most)} and {_peak(part, SMALL_BUDGET, SHARED, most)}"
        ),
        "table": markdown_table(header, rows, left=2),
    }


def _peak(part: Part, label: str, workload: str, threads: int) -> str:
    data = analyse.cell(part, label, workload, threads)
    return bytes_(median(data.metric("rss_peak"))) if data else "-"


def _group(part: Part, group: Sequence[str], most: int, workload: str = SHARED) -> list[Ratio]:
    return [
        found
        for label in group
        if label in part.plan.allocators
        and (found := analyse.kept_speed(part, label, workload, most)).cells
    ]


def _apart(one: Sequence[Ratio], two: Sequence[Ratio]) -> Ratio:
    """The geometric mean of one group over that of another, blocks paired."""
    if not one or not two:
        return analyse.UNMEASURED
    blocks = min(len(entry.by_block) for entry in (*one, *two))
    if blocks < 2:
        return analyse.UNMEASURED
    means = [
        np.exp(np.mean([np.log(entry.by_block[:blocks]) for entry in group], axis=0))
        for group in (one, two)
    ]
    return analyse.compare(means[0], means[1])


def _crowded(part: Part, of: str, over: str, crowds: Sequence[int]) -> list[Ratio]:
    return [
        analyse.against(part, of, over, name, count) for name in (LOCAL, SHARED) for count in crowds
    ]


def _holding(part: Part, other: str, crowds: Sequence[int]) -> Ratio:
    """What hakmem keeps of its speed at threads = cores over what `other` keeps of its own."""

    def kept(label: str, name: str, count: int) -> analyse.Floats | None:
        many = analyse.throughput(part, label, name, count)
        base = analyse.throughput(part, label, name, part.plan.cores)
        with np.errstate(divide="ignore", invalid="ignore"):
            return None if many is None or base is None else many / base

    return analyse.pooled(
        analyse.compare(kept("hakmem", name, count), kept(other, name, count))
        for name, count in product((LOCAL, SHARED), crowds)
    )


def _holds(found: Ratio, other: str) -> str:
    """What is kept with the default over what is kept with `other`, as the verdict has it."""
    if found.cells == 0:
        return f"{other} was not measured"
    word = {
        FASTER: f"with {other} it keeps less of its speed than by default",
        SLOWER: f"with {other} it keeps more of its speed than by default",
        analyse.FEW: f"too few trials tell what {other} would keep",
    }.get(found.verdict, f"no difference seen in what it keeps with {other}")
    return f"{word} (default over it: {times(found)})"


def _decided(deciding: Sequence[str], effects: dict[str, Ratio], most: int) -> str:
    if all(found.cells == 0 or found.verdict == analyse.FEW for found in effects.values()):
        return "Too few trials to tell which mechanism decides."
    if not deciding:
        return (
            "None of the three mechanisms shows a difference here: "
            + listed([f"{name} {times(found)}" for name, found in effects.items()])
            + "."
        )
    first, *rest = deciding
    text = (
        f"With up to {most} threads, {first} decide most: without them "
        f"{times(effects[first])} as much of the speed is kept"
    )
    if rest:
        text += "; then " + listed([f"{name}, {times(effects[name])}" for name in rest])
    idle = [name for name in effects if name not in deciding]
    if idle:
        text += "; not shown to matter: " + listed(
            [f"{name}, {times(effects[name])}" for name in idle]
        )
    return text + "."
