"""Answers on the registry: the seed's fault, and which step of the ladder buys what.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtbench.statistics import Estimate, median
from mtbench.table import bytes_, markdown_table, number
from study import analyse
from study.analyse import FASTER, HALVES, SLOWER, STEP_FOUR, STEPS, WHOLE, Ratio
from study.plan import CASCADE, LADDER_WORKLOADS, LEAK, RUNGS, rung
from study.store import Part
from study.words import (
    by_verdict,
    counted,
    listed,
    longer,
    percent,
    percentage,
    phrase,
    shown,
    times,
    upper,
)

Answer = dict[str, Any]

SEED_BEFORE, SEED_AFTER, SEED_SYSTEM = 1.49, 41.0, 26.8
"""The seed's millions of operations a second on mid_gap, one thread."""

SEED_ROWS = (
    (LEAK, "lookups fail, block dropped", SEED_BEFORE),
    (CASCADE, "lookups fail, then the registry frees it", None),
    ("hakmem:route=cascade", "the same, registry `flat`", None),
    (rung("locked"), "registry first, `locked`", SEED_AFTER),
    ("hakmem", "registry first, `flat`", None),
    ("system", "the system's malloc", SEED_SYSTEM),
)

NEGLIGIBLE = 0.05
"""An interval within this of 1 shows that there is little, not only that nothing was seen."""


def seed(part: Part) -> Answer:
    """The rebuilt fault on mid_gap, one thread."""
    rows = []
    for label, what, theirs in SEED_ROWS:
        data = analyse.cell(part, label, "mid_gap", 1)
        if data is None:
            rows.append(
                [f"`{label}`", what, "failed" if _planned(part, label) else "-"] + ["-"] * 4
            )
            continue
        estimate = data.estimate()
        rows.append(
            [
                f"`{label}`",
                what,
                f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]",
                f"{1e9 / estimate.value:.1f}" if estimate.value else "-",
                number(median(data.metric("faults_per_mop"))),
                bytes_(median(data.metric("rss_peak"))),
                f"{theirs}M" if theirs else "",
            ]
        )
    header = ["allocator", "free", "operations/s", "ns/op", "faults/M ops", "peak", "the seed's"]
    ours = analyse.against(part, rung("locked"), LEAK, "mid_gap", 1)
    honest = analyse.against(part, rung("locked"), CASCADE, "mid_gap", 1)
    lookups = _extra(part, CASCADE, rung("locked"))
    leak = _extra(part, LEAK, CASCADE)
    return {
        "table": markdown_table(header, rows, left=2),
        "finding": (
            f"{upper(phrase(ours, 'the repaired free', 'the leaking one'))}, where the seed had "
            f"{SEED_AFTER} against {SEED_BEFORE} million; "
            f"{phrase(honest, 'it', 'a cascade that ends in a correct free')}."
        ),
        "lookups": longer(lookups),
        "leak": longer(leak),
        "larger": _larger(lookups, leak),
        "ours": times(ours),
        "honest": times(honest),
        "seed_ratio": f"{SEED_AFTER / SEED_BEFORE:.1f}",
        "seed_system": f"{SEED_AFTER / SEED_SYSTEM:.2f}",
        "system": phrase(
            analyse.against(part, rung("locked"), "system", "mid_gap", 1),
            "the `locked` registry",
            "the system's malloc",
        ),
        "leak_faults": _faults(part, LEAK),
        "direct_faults": _faults(part, rung("locked")),
        "leak_memory": _memory(part, LEAK),
        "direct_memory": _memory(part, rung("locked")),
    }


def _planned(part: Part, label: str) -> bool:
    return part.results.get(label, "mid_gap", 1) is not None


def _extra(part: Part, of: str, over: str) -> Estimate:
    return analyse.extra(
        analyse.throughput(part, of, "mid_gap", 1), analyse.throughput(part, over, "mid_gap", 1)
    )


def _larger(lookups: Estimate, leak: Estimate) -> str:
    """Which of the two costs weighs more, if their intervals are apart."""
    if leak.low > lookups.high:
        return "The leak, then, weighs more than the lookups"
    if lookups.low > leak.high:
        return "The lookups, then, weigh more than the leak"
    return "Which of the two weighs more, these trials do not tell"


def _faults(part: Part, label: str) -> str:
    data = analyse.cell(part, label, "mid_gap", 1)
    return "-" if data is None else number(median(data.metric("faults_per_mop")))


def _memory(part: Part, label: str) -> str:
    data = analyse.cell(part, label, "mid_gap", 1)
    return "-" if data is None else bytes_(median(data.metric("rss_peak")))


def ladder(part: Part) -> Answer:
    """Step 4 and its neighbours: which part of the gain is whose, and where."""
    names = [name for name in LADDER_WORKLOADS if name in part.plan.workloads]
    threads = part.plan.threads
    many = [count for count in threads if count > 1]
    whole = analyse.steps(part, WHOLE, names, threads)
    found = {name: analyse.steps(part, pair, names, threads) for name, pair in STEPS.items()}
    halves = {name: analyse.steps(part, pair, names, threads) for name, pair in HALVES.items()}
    shares = analyse.shares(part, names, threads)
    growth_cells = [
        analyse.step(part, STEPS["growth"], name, count) for name in names for count in threads
    ]
    return {
        "finding": (
            f"{upper(phrase(found['growth'], 'a preallocated table by itself', 'a growing one'))}; "
            f"{phrase(found['exclusion'], 'freeing without the lock', 'freeing under it')}; "
            f"{phrase(found['search'], 'one load', 'a lock-free search')} (geometric means of "
            f"{whole.cells} cells, {counted(threads)})."
        ),
        "whole": times(whole),
        "halves": listed(
            [
                phrase(halves["sharing"], "a reader-writer lock", "the mutex"),
                phrase(halves["no lock"], "a sequence lock", "the reader-writer lock"),
            ]
        ),
        "shares": _shares(shares),
        "growth_cells": by_verdict(growth_cells),
        "growths": _growths(part, names, threads),
        "only_threads": _only_threads(part, names, many),
        "steps": markdown_table(
            ["workload", "threads", "`locked`, operations/s", *STEPS, "whole"],
            [_step_row(part, name, count) for name in names for count in threads],
        ),
        "pools": markdown_table(
            ["threads", *STEPS, "of which sharing", "of which no lock", "whole"],
            [_pool_row(part, names, count) for count in threads],
            left=1,
        ),
        "share_table": markdown_table(
            ["workload", *(f"{name}'s share" for name in STEPS), "whole"],
            [_share_row(part, [name], threads) for name in names]
            + [_share_row(part, names, threads)],
        ),
        "costs": [(name, _costs(part, name)) for name in names],
        "futex": _missing(part, "futex_per_mop"),
        "answer": _answer(part, found, shares, whole, threads),
        "many": counted(many) if many else "",
    }


def _shares(shares: dict[str, Estimate] | None) -> str:
    if shares is None:
        return "The gain is too small, or the trials too few, to be divided among the steps."
    order = sorted(shares, key=lambda name: -shares[name].value)
    return (
        "Of the whole gain, on a logarithmic scale, "
        + listed([f"{name} has {percent(shares[name])}" for name in order])
        + "."
    )


def _answer(
    part: Part,
    found: dict[str, Ratio],
    shares: dict[str, Estimate] | None,
    whole: Ratio,
    threads: Sequence[int],
) -> str:
    """The study's answer in two sentences."""
    growth = found["growth"]
    if any(_unsaid(entry) for entry in found.values()):
        return (
            "Too few trials to say what pre-allocating the Mid registry buys. "
            f"The whole ladder, up to one load, stands at {times(whole)} of its lowest rung."
        )
    words = {
        FASTER: f"makes hakmem faster, {times(growth)}",
        SLOWER: f"makes hakmem slower, {times(growth)}",
    }.get(growth.verdict, f"{_nothing(growth)}, {times(growth)}")
    first = (
        f"Pre-allocating the Mid registry's table by itself {words} (geometric mean "
        f"{counted(threads)} on {part.plan.cores} cores, {len(part.plan.workloads)} workloads)."
    )
    paying = sorted(
        (name for name in ("exclusion", "search") if found[name].verdict == FASTER),
        key=lambda name: -found[name].estimate.value,
    )
    if not paying:
        return f"{first} Nor do the other steps of the ladder show a gain there."
    what = {"exclusion": "taking the lock away from free", "search": "taking the search away"}
    pays = listed([f"{what[name]}, {times(found[name])}" for name in paying])
    tail = ""
    if shares is not None:
        best = max(shares, key=lambda name: shares[name].value)
        tail = f"; {best} has {percent(shares[best])} of the whole gain of {times(whole)}"
    return f"{first} What pays is {pays}{tail}."


def _nothing(found: Ratio) -> str:
    """How sure a ratio without a difference is: an interval may be narrow or merely hold 1."""
    if found.estimate.low >= 1 - NEGLIGIBLE and found.estimate.high <= 1 + NEGLIGIBLE:
        return f"changes hakmem's speed by less than {NEGLIGIBLE:.0%}".replace("%", " %")
    return f"buys nothing that {found.cells} cells can tell from noise"


def _only_threads(part: Part, names: Sequence[str], many: Sequence[int]) -> str:
    """Was the seed right that Step 4 pays with threads only?"""
    one = analyse.steps(part, STEP_FOUR, names, [1])
    more = analyse.steps(part, STEP_FOUR, names, many)
    at_one = phrase(one, "`prealloc-seqlock`", "`locked`") + " at one thread"
    at_more = f"{times(more)} {counted(many)}" if many else "not measured with more"
    if _unsaid(one) or _unsaid(more):
        verdict = "These trials cannot tell whether the seed was right"
    elif more.verdict == FASTER and one.verdict != FASTER:
        verdict = "The seed was right: the benefit comes with threads only"
        if one.estimate.high > 1 + NEGLIGIBLE:
            verdict = "As far as these trials tell, the seed was right: threads gain, one is open"
    elif more.verdict == FASTER and more.estimate.low > one.estimate.high:
        verdict = "The seed was right but for the 'only': threads pay more, one pays too"
    elif more.verdict == FASTER:
        verdict = "The seed was wrong: one thread gains as well, and not surely less than many"
    elif one.verdict == FASTER:
        verdict = "The seed was wrong the other way round: one thread gains, more do not"
    elif more.estimate.high > 1 + NEGLIGIBLE:
        verdict = "No benefit is seen, with threads or without; the intervals leave room for one"
    else:
        verdict = "The seed was wrong: no benefit is seen with threads either"
    return f"{verdict}. {upper(at_one)}; with more it is {at_more}."


def _unsaid(found: Ratio) -> bool:
    """Whether nothing may be said of it."""
    return found.cells == 0 or found.verdict == analyse.FEW


def _step_row(part: Part, name: str, count: int) -> list[str]:
    data = analyse.cell(part, rung("locked"), name, count)
    base = number(data.estimate().value) if data else "failed"
    found = [analyse.step(part, pair, name, count) for pair in (*STEPS.values(), WHOLE)]
    return [f"`{name}`", str(count), base, *map(shown, found)]


def _pool_row(part: Part, names: Sequence[str], count: int) -> list[str]:
    pairs = (*STEPS.values(), *HALVES.values(), WHOLE)
    return [str(count), *(shown(analyse.steps(part, pair, names, [count])) for pair in pairs)]


def _share_row(part: Part, names: Sequence[str], threads: Sequence[int]) -> list[str]:
    found = analyse.shares(part, names, threads)
    title = f"`{names[0]}`" if len(names) == 1 else "all"
    entries = [percent(found[name]) for name in STEPS] if found else ["-"] * len(STEPS)
    return [title, *entries, shown(analyse.steps(part, WHOLE, names, threads))]


def _growths(part: Part, names: Sequence[str], threads: Sequence[int]) -> str:
    """How often the growing table grew in a trial: the reason why growth hardly matters."""
    values = [
        value
        for name in names
        for count in threads
        for value in part.counters.get((rung("locked"), name, count, "registry_growths"), [])
    ]
    if not values:
        return "How often it grew was not recorded."
    lookups = [
        value
        for name in names
        for count in threads
        for value in part.counters.get((rung("locked"), name, count, "registry_lookups"), [])
    ]
    return (
        "Until a trial's window closed, the growing table had grown "
        f"{median(values):.0f} times in the median and "
        f"{max(values):.0f} times at most, while it was asked {number(median(lookups))} times in "
        "the median."
    )


def _costs(part: Part, workload: str) -> str:
    counts = sorted({1, part.plan.cores, max(part.plan.threads)} & set(part.plan.threads))
    rows = []
    for count in counts:
        for name in RUNGS:
            data = analyse.cell(part, rung(name), workload, count)
            if data is None:
                rows.append([f"`{name}`", str(count), "failed", *["-"] * 7])
                continue
            locks = data.locks.get("registry", [])
            drawn = part.run.cell(rung(name), workload, count)
            assert drawn is not None
            rows.append(
                [
                    f"`{name}`",
                    str(count),
                    number(data.estimate().value),
                    number(median([lock.acquisitions_per_op for lock in locks])) if locks else "0",
                    percentage(median([lock.wait_share for lock in locks])) if locks else "0 %",
                    number(median(data.metric("futex_per_mop"))),
                    number(median(data.metric("voluntary_per_mop"))),
                    number(drawn.metric("free_p50_ns").value),
                    number(drawn.metric("free_p999_ns").value),
                    bytes_(median(data.metric("rss_peak"))),
                ]
            )
    header = ["rung", "threads", "operations/s", "registry lock/op", "waited", "futex/M ops",
              "switches/M ops", "free p50, ns", "free p99.9, ns", "peak"]  # fmt: skip
    return markdown_table(header, rows)


def _missing(part: Part, metric: str) -> str:
    reasons = {
        data.missing[metric] for data in part.results.cells.values() if metric in data.missing
    }
    return sorted(reasons)[0] if reasons else ""
