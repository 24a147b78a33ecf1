"""Answers on hakmem as a whole: its two builds, profile guidance, its peers, and crowds.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from mtbench.analysis.statistics import geometric_mean, median
from mtbench.base.table import bytes_, number
from mtbench.base.table import ratio as bracketed
from mtbench.commands.rank import Standing, standings
from plots.pages.table import markdown_table
from study import analyse
from study.analyse import FASTER, FEW, NONE, SLOWER, Ratio
from study.plan import CONFIG_WORKLOADS, PEERS, PGO, PLAIN, SMALL_BUDGET, SPIN, TRAINED
from study.store import Part
from study.words import (
    Answer,
    by_verdict,
    counted,
    listed,
    marked,
    phrase,
    short,
    shown,
    times,
    upper,
)

LOCAL, SHARED = "mid_gap", "mid_exchange"
HEAPS = ("mimalloc", "mimalloc-pypi", "tbbmalloc")
"""Mallocs that return a block to the heap of the thread that allocated it."""
ARENAS = ("system", "jemalloc")
"""Mallocs that return a block to the arena it came from, under its lock."""
OWNED = (*HEAPS, *ARENAS)
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
        threads = marked(count, part.plan.cores)
        rows.append([f"`{name}`", what(name), threads, base, shown(entry), verdict])
    return markdown_table(
        ["workload", "", "threads", f"{over}, operations/s", "ratio [95 %]", "verdict"],
        rows,
        align="llr",
    )


def config(part: Part) -> Answer:
    """Switches compiled in against switches read at start."""
    found = _pairs(part, "hakmem-fixed", "hakmem")
    whole = analyse.pooled(found.values())
    huge = analyse.pooled(entry for (name, _), entry in found.items() if name == "huge_mixed")
    return {
        "finding": (
            f"{upper(phrase(whole, 'the constant build', 'the runtime build'))} over all sizes; at "
            f"2 MiB and above, where the predecessor hoped for 2 to 4 %, "
            f"{phrase(huge, 'the constant build', 'the runtime build')}."
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
    return {
        "finding": (
            f"{upper(phrase(trained, 'the guided build', 'the plain one'))} on the workloads that "
            f"it was trained on{_hoped(trained)}; on others, "
            f"{phrase(rest, 'the guided build', 'the plain one')}."
        ),
        "verdicts": by_verdict(list(found.values())),
        "table": _pair_table(
            part, PLAIN, found, lambda name: "trained" if name in TRAINED else "not trained"
        ),
        "ratios": found,
    }


def _hoped(found: Ratio) -> str:
    """A clause on the predecessor's hope for profile guidance; empty without an interval."""
    if not math.isfinite(found.estimate.low):
        return ""
    if found.verdict == FASTER and found.estimate.low > 1.06:
        return ", and that is within or above the 6 to 13 % the predecessor hoped for"
    if found.estimate.high < 1.06:
        return ", and that is less than the 6 to 13 % the predecessor hoped for"
    return ", and the interval leaves the 6 to 13 % the predecessor hoped for open"


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
    lean = [row.memory_ratio.value for row in rows if math.isfinite(row.memory_ratio.value)]
    return {
        "finding": _beside(rows, mean),
        "groups": _by_group(part, rows),
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
            [_rank_row(row, part.plan.cores) for row in listing],
        ),
        "means": markdown_table(
            ["workload", "over the best other"],
            [[f"`{name}`", shown(means[name])] for name in order],
        ),
        "rows": rows,
        "order": order,
    }  # fmt: skip


def _beside(rows: Sequence[Standing], mean: Ratio) -> str:
    if not rows or mean.cells == 0:
        return "hakmem has no number beside a peer's."
    won = sum(row.verdict == FASTER for row in rows)
    lost = sum(row.verdict == SLOWER for row in rows)
    word = {
        FASTER: "faster",
        SLOWER: "slower",
        FEW: "not told apart, as trials are too few,",
    }.get(mean.verdict, "not surely different")
    return (
        f"Over {len(rows)} cells, against the best other malloc in each, hakmem is {word} in the "
        f"geometric mean, {times(mean)}; by cell faster in {won}, slower in {lost}, undecided in "
        f"{len(rows) - won - lost}."
    )


def _by_group(part: Part, rows: Sequence[Standing]) -> str:
    """The mean up to the cores and beyond them: scaling is not oversubscription."""
    groups = (
        ("up to as many threads as cores", analyse.within(part)),
        ("more threads than cores", analyse.beyond(part)),
    )
    return "; ".join(
        f"with {title} ({counted(counts)}) {short(_mean(chosen))}"
        for title, counts in groups
        if (chosen := [row for row in rows if row.threads in counts])
    )


def _mean(rows: Sequence[Standing]) -> Ratio:
    return analyse.pooled(Ratio(row.ratio, row.verdict, 1, row.by_block) for row in rows)


def ranked(part: Part) -> tuple[list[Standing], list[str]]:
    """Every cell of hakmem against the installed peers."""
    others = [name for name in PEERS if name in part.plan.allocators]
    return standings("hakmem", others, part.plan, part.results)


def _named(names: Sequence[str], means: dict[str, Ratio]) -> str:
    return listed([f"`{name}` ({times(means[name])})" for name in names])


def _rank_row(row: Standing, cores: int) -> list[str]:
    memory = row.memory_ratio.value
    return [
        f"`{row.workload}`",
        marked(row.threads, cores),
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
    """What is left of the speed of threads = cores when there are more, and what goes with it."""
    cores, most = part.plan.cores, max(part.plan.threads)
    labels = [label for label in part.plan.allocators if label != "null"]
    crowds = analyse.beyond(part)
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
    owner = analyse.pooled(
        _apart(_group(part, OWNERLESS, count), _group(part, OWNED, count)) for count in crowds
    )
    spin, caches = (_holding(part, other, crowds) for other in (SPIN, SMALL_BUDGET))
    spinning, budget = "pure spinning", "a budget of 1 MiB for all thread caches"
    return {
        "finding": _kept_more(
            {
                "mallocs without owners over those with": owner,
                "the default over spin locks": spin,
                "the default over small caches": caches,
            },
            most,
        ),
        "cores": cores,
        "most": most,
        "heaps": _present(part, HEAPS),
        "arenas": _present(part, ARENAS),
        "owner": _owners(part, owner, most),
        "spin": _holds(spin, spinning),
        "spin_speed": _by_speed(part, SPIN, spinning, crowds),
        "caches": _holds(caches, budget),
        "cache_speed": _by_speed(part, SMALL_BUDGET, budget, crowds),
        "cache_memory": (
            f"{_peak(part, 'hakmem', SHARED, most)} by default and "
            f"{_peak(part, SMALL_BUDGET, SHARED, most)} with it"
        ),
        "table": markdown_table(header, rows, align="llr"),
    }


def _owners(part: Part, owner: Ratio, most: int) -> str:
    """What mallocs whose blocks go back keep of their speed beside those whose blocks do not."""
    owned, ownerless = _present(part, OWNED), _present(part, OWNERLESS)
    pools = [
        analyse.pooled(_group(part, group, most, workload))
        for workload in (SHARED, LOCAL)
        for group in (OWNED, OWNERLESS)
    ]
    if owner.cells == 0 or any(found.cells == 0 for found in pools):
        return "Not measured here: one of the two groups has no number."
    with_owner, without, local_with, local_without = map(times, pools)
    unsure = f" ({owner.verdict})" if owner.verdict in (NONE, FEW) else ""
    return (
        f"In `{SHARED}` at {most} threads mallocs with such owners ({owned}) keep {with_owner} of "
        f"their speed, those without ({ownerless}) {without}; over all of these thread counts the "
        f"latter keep {times(owner)} as much as the former{unsure}. Where each thread frees its "
        f"own blocks (`{LOCAL}`) the two groups keep {local_with} and {local_without}. The groups "
        "differ in more than this."
    )


def _present(part: Part, group: Sequence[str]) -> str:
    return listed([f"`{name}`" for name in group if name in part.plan.allocators])


def _by_speed(part: Part, other: str, title: str, crowds: Sequence[int]) -> str:
    """The default over `other` by speed itself, as the verdict has it."""
    found = analyse.pooled(_crowded(part, "hakmem", other, crowds))
    return f"By speed itself, {phrase(found, 'the default', title)}"


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
    """The geometric mean of one group over that of another, rounds paired."""
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
        FEW: f"too few trials to tell what is kept with {other}",
    }.get(found.verdict, f"no difference seen in what it keeps with {other}")
    return f"{word} (default over it: {times(found)})"


def _kept_more(effects: Mapping[str, Ratio], most: int) -> str:
    """What goes with keeping speed. effects: a comparison -> its ratio of speed kept."""

    def of(verdict: str) -> str:
        chosen = [name for name in measured if measured[name].verdict == verdict]
        chosen.sort(key=lambda name: -measured[name].estimate.value)
        return listed([f"{name} ({times(measured[name])})" for name in chosen]) if chosen else ""

    measured = {name: found for name, found in effects.items() if found.cells}
    missing = [name for name in effects if name not in measured]
    more, less, none, few = map(of, (FASTER, SLOWER, NONE, FEW))
    if none and not (more or less or few or missing):
        return f"Up to {most} threads, no difference is seen for any of the three: {none}."
    parts = [f"what keeps more of its speed: {more}"] if more else []
    if less:
        parts.append(f"{'the other way round' if more else 'what keeps less of its speed'}: {less}")
    parts += [f"{title}: {text}" for title, text in ((NONE, none), (FEW, few)) if text]
    if missing:
        parts.append(f"not measured: {listed(missing)}")
    return f"Up to {most} threads, {'; '.join(parts)}."
