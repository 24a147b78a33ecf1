"""Answers on the registry: the predecessor's fault, and which step of the ladder buys what.

Each function takes a question's part and returns what the template of that name uses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mtbench.analysis.statistics import median
from mtbench.base.table import bytes_, number
from mtbench.mallocs.ladder import REGISTRIES
from plots.data import Estimate
from plots.numbers import spread
from plots.pages.table import markdown_table
from study import analyse
from study.analyse import FASTER, HALVES, SLOWER, STEP_FOUR, STEPS, WHOLE, Ratio
from study.plan import CASCADE, LADDER_WORKLOADS, LEAK, rung
from study.store import Part
from study.words import (
    Answer,
    by_verdict,
    counted,
    listed,
    longer,
    marked,
    percent,
    percentage,
    phrase,
    short,
    shown,
    times,
    upper,
)

SEED_BEFORE, SEED_AFTER, SEED_SYSTEM = 1.49, 41.0, 26.8
"""The predecessor's millions of operations per second on mid_gap, one thread."""

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
    header = [
        "allocator",
        "free",
        "operations/s",
        "ns/op",
        "faults/M ops",
        "peak",
        "the predecessor's",
    ]
    ours = analyse.against(part, rung("locked"), LEAK, "mid_gap", 1)
    honest = analyse.against(part, rung("locked"), CASCADE, "mid_gap", 1)
    lookups = _extra(part, CASCADE, rung("locked"))
    leak = _extra(part, LEAK, CASCADE)
    return {
        "table": markdown_table(header, rows, align="llr"),
        "finding": (
            f"{upper(phrase(ours, 'the repaired free', 'the leaking one'))}, where the predecessor "
            f"had {SEED_AFTER} against {SEED_BEFORE} million; "
            f"{phrase(honest, 'the repaired free', 'a cascade that ends in a correct free')}."
        ),
        "lookups": upper(
            longer(
                analyse.apart(lookups),
                "an operation of the cascade",
                "one of the repaired free",
            )
        ),
        "leak": upper(
            longer(
                analyse.apart(leak),
                "an operation of the leaking cascade",
                "one of the cascade that frees",
            )
        ),
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


def _extra(part: Part, of: str, over: str) -> analyse.Floats | None:
    return analyse.extra(
        analyse.throughput(part, of, "mid_gap", 1), analyse.throughput(part, over, "mid_gap", 1)
    )


def _larger(lookups: analyse.Floats | None, leak: analyse.Floats | None) -> str:
    """Which of the two costs weighs more, if both intervals of their difference exclude 0."""
    if lookups is not None and leak is not None:
        found = analyse.apart(leak, lookups)
        if found.sign > 0 and analyse.apart(leak).sign > 0:
            return "The leak, then, weighs more than the lookups"
        if found.sign < 0 and analyse.apart(lookups).sign > 0:
            return "The lookups, then, weigh more than the leak"
    return "Which of the two weighs more, these trials do not tell"


def _faults(part: Part, label: str) -> str:
    data = analyse.cell(part, label, "mid_gap", 1)
    return "-" if data is None else number(median(data.metric("faults_per_mop")))


def _memory(part: Part, label: str) -> str:
    data = analyse.cell(part, label, "mid_gap", 1)
    return "-" if data is None else bytes_(median(data.metric("rss_peak")))


def ladder(part: Part) -> Answer:
    """Step 4 and its neighbours: which part of the gain is whose, and where.

    What is said of scaling rests on thread counts up to the cores; more are told apart.
    """
    names = [name for name in LADDER_WORKLOADS if name in part.plan.workloads]
    threads = part.plan.threads
    within, beyond = analyse.within(part), analyse.beyond(part)
    whole = analyse.steps(part, WHOLE, names, within)
    found = _pools(part, STEPS, names, within)
    halves = _pools(part, HALVES, names, within)
    shares = analyse.shares(part, names, within)
    return {
        "finding": _finding(found, within) + _crowded(_pools(part, STEPS, names, beyond), beyond),
        "halves": listed(
            [
                phrase(halves["sharing"], "a reader-writer lock", "the mutex"),
                phrase(halves["no lock"], "a sequence lock", "the reader-writer lock"),
            ]
        ),
        "shares": _shares(shares, within),
        "growth_cells": _growth_cells(part, names, within),
        "growth_crowd": _growth_cells(part, names, beyond),
        "growths": _growths(part, names, threads),
        "only_threads": _only_threads(part, names),
        "steps": markdown_table(
            ["workload", "threads", "`locked`, operations/s", *STEPS, "whole"],
            [_step_row(part, name, count) for name in names for count in threads],
        ),
        "pools": markdown_table(
            ["threads", *STEPS, "of which sharing", "of which no lock", "whole"],
            _pool_rows(part, names),
        ),
        "share_table": markdown_table(
            ["workload", *(f"{name}'s share" for name in STEPS), "whole"],
            [_share_row(part, f"`{name}`", [name], within) for name in names]
            + [_share_row(part, "all", names, within)]
            + ([_share_row(part, "all (> cores)", names, beyond)] if beyond else []),
        ),
        "costs": [(name, _costs(part, name)) for name in names],
        "futex": _missing(part, "futex_per_mop"),
        "answer": _answer(found, shares, whole, _where(part, names, within)),
        "within": counted(within),
        "beyond": counted(beyond) if beyond else "",
    }


def _pools(
    part: Part,
    pairs: Mapping[str, tuple[str, str]],
    names: Sequence[str],
    threads: Sequence[int],
) -> dict[str, Ratio]:
    return {name: analyse.steps(part, pair, names, threads) for name, pair in pairs.items()}


def _finding(found: Mapping[str, Ratio], threads: Sequence[int]) -> str:
    cells = spread([entry.cells for entry in found.values()])
    return (
        f"{upper(phrase(found['growth'], 'a preallocated table by itself', 'a growing one'))}; "
        f"{phrase(found['exclusion'], 'freeing without the lock', 'freeing under it')}; "
        f"{phrase(found['search'], 'one load', 'a lock-free search')} (geometric means of "
        f"{cells} cells, {counted(threads)})."
    )


def _crowded(found: Mapping[str, Ratio], threads: Sequence[int]) -> str:
    """The same steps where threads share cores."""
    if not threads:
        return ""
    steps = "; ".join(f"{name}: {short(entry)}" for name, entry in found.items())
    return f" With more threads than cores, {counted(threads)}: {steps}."


def _growth_cells(part: Part, names: Sequence[str], threads: Sequence[int]) -> str:
    return by_verdict(
        [analyse.step(part, STEPS["growth"], name, count) for name in names for count in threads]
    )


def _shares(shares: dict[str, Estimate] | None, threads: Sequence[int]) -> str:
    if shares is None:
        return "The gain is too small, or the trials too few, to be divided among the steps."
    order = sorted(shares, key=lambda name: -shares[name].value)
    return (
        f"Of the whole gain {counted(threads)}, on a logarithmic scale, "
        + listed([f"{name} has {percent(shares[name])}" for name in order])
        + "."
    )


def _where(part: Part, names: Sequence[str], threads: Sequence[int]) -> str:
    cores = part.plan.cores
    return (
        f"geometric mean {counted(threads)} on {cores} core{'' if cores == 1 else 's'}, "
        f"{len(names)} workload{'' if len(names) == 1 else 's'}"
    )


def _answer(
    found: Mapping[str, Ratio],
    shares: Mapping[str, Estimate] | None,
    whole: Ratio,
    where: str,
) -> str:
    """The study's answer in two sentences, on thread counts up to the cores."""
    growth = found["growth"]
    if any(_unsaid(entry) for entry in found.values()):
        missing = any(entry.cells == 0 for entry in found.values())
        first = (
            "A rung has no number, so nothing is said of pre-allocating."
            if missing
            else "Too few trials to say what pre-allocating the Mid registry buys."
        )
        rest = f" The whole ladder, up to one load, stands at {times(whole)} of its lowest rung."
        return first + (rest if whole.cells else "")
    words = {
        FASTER: f"makes hakmem faster, {times(growth)}",
        SLOWER: f"makes hakmem slower, {times(growth)}",
    }.get(growth.verdict, f"{_nothing(growth)}, {times(growth)}")
    first = f"Pre-allocating the Mid registry's table by itself {words} ({where})."
    return f"{first} {_others(found, shares, whole)}"


TAKEN = {"exclusion": "taking the lock away from free", "search": "taking the search away"}


def _others(found: Mapping[str, Ratio], shares: Mapping[str, Estimate] | None, whole: Ratio) -> str:
    """The sentence on the steps beside growth."""
    growth = found["growth"]
    order = sorted(TAKEN, key=lambda name: -found[name].estimate.value)
    paying = [name for name in order if found[name].verdict == FASTER]
    if not paying:
        none = "The other steps of the ladder show no gain there"
        if growth.verdict != FASTER:
            none = "Nor do the other steps of the ladder show a gain there"
        return f"{none}: {listed([f'{TAKEN[name]}, {times(found[name])}' for name in order])}."
    opening = "What pays"
    if growth.verdict == FASTER:
        least = min(found[name].estimate.low for name in paying)
        opening = f"What {'pays more' if least > growth.estimate.high else 'also pays'}"
    tail = ""
    if shares is not None:
        best = max(shares, key=lambda name: shares[name].value)
        tail = f"; {best} has {percent(shares[best])} of the whole gain of {times(whole)}"
    pays = listed([f"{TAKEN[name]}, {times(found[name])}" for name in paying])
    return f"{opening} is {pays}{tail}."


def _nothing(found: Ratio) -> str:
    """How sure a ratio without a difference is: an interval may be narrow or merely hold 1."""
    _, low, high = found.estimate
    if low >= 1 - NEGLIGIBLE and high <= 1 + NEGLIGIBLE:
        return f"changes hakmem's speed by less than {NEGLIGIBLE * 100:.0f} %"
    if not low <= 1 <= high:
        return "shows no difference by the rule"
    return f"buys nothing that {found.cells} cells can tell from noise"


def _only_threads(part: Part, names: Sequence[str]) -> str:
    """Was the predecessor right that Step 4 pays with threads only? Judged up to the cores."""
    many = [count for count in analyse.within(part) if count > 1]
    beyond = [count for count in analyse.beyond(part) if count > 1]
    one = analyse.steps(part, STEP_FOUR, names, [1])
    more = analyse.steps(part, STEP_FOUR, names, many)
    crowd = analyse.steps(part, STEP_FOUR, names, beyond)
    subjects = "`prealloc-seqlock`", "`locked`"
    text = f"{_seed_right(one, more)}. {upper(phrase(one, *subjects))} at one thread; "
    text += (
        f"with more, up to as many as cores, it is {times(more)} ({counted(many)})."
        if many
        else "more threads, up to as many as cores, were not measured."
    )
    if beyond:
        text += (
            " With more threads than cores, which is oversubscription and not scaling, "
            f"{phrase(crowd, *subjects)} ({counted(beyond)})."
        )
    return text


def _seed_right(one: Ratio, more: Ratio) -> str:
    if _unsaid(one) or _unsaid(more):
        return "These trials cannot tell whether the predecessor was right"
    if more.verdict == FASTER and one.verdict != FASTER:
        if one.estimate.high > 1 + NEGLIGIBLE:
            return (
                "As far as these trials tell, the predecessor was right: threads gain, one is open"
            )
        return "The predecessor was right: the benefit comes with threads only"
    if more.verdict == FASTER and more.estimate.low > one.estimate.high:
        return "The predecessor was right that threads gain more, not that only threads gain"
    if more.verdict == FASTER:
        return "The predecessor was wrong: one thread gains as well, and not surely less than many"
    if one.verdict == FASTER:
        return "It is the other way round: one thread gains, and with more no gain is seen"
    if more.estimate.high > 1 + NEGLIGIBLE:
        return "No benefit is seen, with threads or without; the intervals leave room for one"
    return f"No benefit above {NEGLIGIBLE * 100:.0f} % is seen with threads either"


def _unsaid(found: Ratio) -> bool:
    """Whether nothing may be said of it."""
    return found.cells == 0 or found.verdict == analyse.FEW


def _step_row(part: Part, name: str, count: int) -> list[str]:
    data = analyse.cell(part, rung("locked"), name, count)
    base = number(data.estimate().value) if data else "failed"
    found = [analyse.step(part, pair, name, count) for pair in (*STEPS.values(), WHOLE)]
    return [f"`{name}`", marked(count, part.plan.cores), base, *map(shown, found)]


def _pool_rows(part: Part, names: Sequence[str]) -> list[list[str]]:
    """A row per thread count, and one for each of the two groups with several of them."""
    rows = [(marked(count, part.plan.cores), [count]) for count in part.plan.threads]
    groups = (("up to the cores", analyse.within(part)), ("all (> cores)", analyse.beyond(part)))
    rows += [(title, counts) for title, counts in groups if counts[1:]]
    pairs = (*STEPS.values(), *HALVES.values(), WHOLE)
    return [
        [title, *(shown(analyse.steps(part, pair, names, counts)) for pair in pairs)]
        for title, counts in rows
    ]


def _share_row(part: Part, title: str, names: Sequence[str], threads: Sequence[int]) -> list[str]:
    found = analyse.shares(part, names, threads)
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
    rows = [_cost_row(part, workload, name, count) for count in counts for name in REGISTRIES]
    header = ["rung", "threads", "operations/s", "registry lock/M ops", "waited", "futex/M ops",
              "switches/M ops", "free p50, ns", "free p99.9, ns", "peak"]  # fmt: skip
    return markdown_table(header, rows)


def _cost_row(part: Part, workload: str, name: str, count: int) -> list[str]:
    place = [f"`{name}`", marked(count, part.plan.cores)]
    data = analyse.cell(part, rung(name), workload, count)
    drawn = part.run.cell(rung(name), workload, count)
    if data is None or drawn is None:
        return [*place, "failed", *["-"] * 7]
    locks = data.locks.get("registry", [])
    # Only `flat` has no such lock; elsewhere a count that is missing is no zero.
    none = 0.0 if name == "flat" else math.nan
    taken = 1e6 * median([lock.acquisitions_per_op for lock in locks]) if locks else none
    waited = median([lock.wait_share for lock in locks]) if locks else none
    return [
        *place,
        number(data.estimate().value),
        number(taken),
        percentage(waited),
        number(median(data.metric("futex_per_mop"))),
        number(median(data.metric("voluntary_per_mop"))),
        number(drawn.metric("free_p50_ns").value),
        number(drawn.metric("free_p999_ns").value),
        bytes_(median(data.metric("rss_peak"))),
    ]


def _missing(part: Part, metric: str) -> str:
    reasons = {
        data.missing[metric] for data in part.results.cells.values() if metric in data.missing
    }
    return sorted(reasons)[0] if reasons else ""
