"""The study's figures, by the name of their file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mtbench.analysis.statistics import bootstrap_median
from mtbench.mallocs.ladder import REGISTRIES
from plots import own_settings, style
from plots.data import MISSING, Estimate
from plots.drawings import memory
from plots.numbers import bytes_text, compact, nanoseconds, share, times
from plots.numbers import threads as thread_count
from plots.paper import curves
from plots.paper.sheet import Drawing, Panel, caption
from study import alt, analyse, builds, lookups, marks, registry
from study.analyse import STEPS, Ratio
from study.plan import LADDER_WORKLOADS, rung
from study.store import Part
from study.words import Answer

COSTLY = "mid_exchange"
LINE = "Line: median; band: 95 % interval."
PAIRED = "Line: median of paired ratios; band: 95 % interval; grey: 1."
DOTS = "Dot: median of paired ratios; line: 95 % interval; band: 2 %."


@own_settings()
def draw(parts: Mapping[str, Part]) -> dict[str, Drawing]:
    """Every figure that the parts have data for; descriptions are their alternative texts."""
    makers: dict[str, tuple[str, Callable[[Part], Drawing]]] = {
        "study-seed": ("seed", _seed),
        "study-leak": ("seed", _leak),
        "study-ladder": ("ladder", _ladder),
        "study-steps": ("ladder", _steps),
        "study-costs": ("ladder", _costs),
        "study-chunks": ("chunks", _chunks),
        "study-config": (
            "config",
            lambda part: _pairs(part, builds.config, "constant over runtime"),
        ),
        "study-pgo": ("pgo", lambda part: _pairs(part, builds.pgo, "profile-guided over plain")),
        "study-locks": ("locks", _locks),
        "study-peers": ("peers", _peers),
        "study-crowd": ("crowd", _crowd),
    }
    if "peers" in parts and not builds.ranked(parts["peers"])[0]:
        del makers["study-peers"]
    return {name: make(parts[needs]) for name, (needs, make) in makers.items() if needs in parts}


def _seed(part: Part) -> Drawing:
    names = [what.replace("`", "") for _, what, _ in registry.SEED_ROWS]
    cells = [analyse.cell(part, label, "mid_gap", 1) for label, _, _ in registry.SEED_ROWS]

    def of(metric: str) -> list[Estimate]:
        return [MISSING if data is None else data.estimate(metric) for data in cells]

    figure = marks.bars(
        names,
        [
            marks.Bars(
                Panel("Throughput", "operations/s"),
                of("throughput"),
                compact,
                [theirs * 1e6 if theirs else math.nan for _, _, theirs in registry.SEED_ROWS],
            ),
            marks.Bars(Panel("Page faults", "per M operations"), of("faults_per_mop")),
            marks.Bars(Panel("Peak memory", "of the process"), of("rss_peak"), bytes_text),
        ],
        "The predecessor's fault, rebuilt: mid_gap, one thread",
        "What free does with a Mid block, and what that costs",
        caption(
            part.run,
            "mid_gap",
            marks="Line: 95 % interval; diamond: the predecessor's own number.",
        ),
    )
    figure.description = "Throughput, page faults and memory of each way to free, one thread."
    return figure


def _leak(part: Part) -> Drawing:
    return memory.memory_over_time(part.run, "mid_gap", (1,))


def _names(part: Part) -> list[str]:
    return [name for name in LADDER_WORKLOADS if name in part.plan.workloads]


def _ladder(part: Part) -> Drawing:
    found = [
        (Panel(name, "operations/s"), _by_rung(part, name, lambda cell: cell.throughput))
        for name in _names(part)
    ]
    figure = marks.lines(
        part.run, found, "The ladder of registries, from lock and search to one load",
        "Throughput against threads, logarithmic",
        caption(part.run, "", marks=LINE),
        least=3.0,
    )  # fmt: skip
    figure.description = _throughputs("each rung", found)
    return figure


def _throughputs(of: str, found: Sequence[tuple[Panel, Sequence[curves.Series]]]) -> str:
    panels = [alt.Shown(panel.heading, lines, "operations/s") for panel, lines in found]
    return f"Throughput of {of} over threads. {alt.at_the_end(panels)}".rstrip()


def _by_rung(part: Part, name: str, read: curves.Reader) -> list[curves.Series]:
    """A line for each rung under its own name: the hakmem of the ladder is `flat`."""
    found = curves.series(part.run, name, read)
    return [replace(line, text=_rung_name(line.label)) for line in found]


def _rung_name(label: str) -> str:
    return next(name for name in REGISTRIES if rung(name) == label)


def _steps(part: Part) -> Drawing:
    threads = part.plan.threads
    found = []
    for name in _names(part):
        lines = [
            marks.series(
                label,
                marks.STEP_LOOKS[label],
                threads,
                [analyse.step(part, pair, name, count).estimate for count in threads],
            )
            for label, pair in STEPS.items()
        ]
        found.append((Panel(name, "x of the rung below"), [one for one in lines if one.present]))
    figure = marks.lines(
        part.run, found, "What each step of the ladder buys",
        "growth: prealloc-locked / locked · exclusion: prealloc-seqlock / prealloc-locked · "
        "search: flat / prealloc-seqlock",
        caption(part.run, "", marks=PAIRED),
        show=[times] * len(found), level=1.0, least=3.0,
    )  # fmt: skip
    gains = [alt.Shown(panel.heading, lines, form=times) for panel, lines in found]
    figure.description = f"Gain of each step over threads. {alt.at_the_end(gains)}".rstrip()
    return figure


def _costs(part: Part) -> Drawing:
    name = COSTLY if COSTLY in part.plan.workloads else part.plan.workloads[0]

    def of_lock(field: str) -> list[curves.Series]:
        looks = style.looks(map(rung, REGISTRIES))
        found = []
        for label in map(rung, REGISTRIES):
            values = []
            for count in part.plan.threads:
                data = analyse.cell(part, label, name, count)
                rows = data.locks.get("registry", []) if data else []
                values.append(bootstrap_median([getattr(row, field) for row in rows]))
            line = marks.series(_rung_name(label), looks[label], part.plan.threads, values)
            found.extend([line] if line.present else [])
        return found

    def of(key: str) -> list[curves.Series]:
        return _by_rung(part, name, curves.metric(key))

    found = [
        (Panel("The registry's lock", "acquisitions/op"), of_lock("acquisitions_per_op")),
        (Panel("Waited for it", "of thread time"), of_lock("wait_share")),
        (Panel("Switches to wait", "per M operations"), of("voluntary_per_mop")),
        (Panel("free, p99.9", "service time"), of("free_p999_ns")),
        (Panel("free, p50", "service time"), of("free_p50_ns")),
        (Panel("Peak memory", "of the process"), of("rss_peak")),
    ]
    formats = [compact, share, compact, nanoseconds, nanoseconds, bytes_text]
    figure = marks.lines(
        part.run, found, f"{name}: what the rungs cost beside speed",
        "Of prealloc-rwlock only the lock beside it is counted, which writers take",
        caption(part.run, name, marks=f"{LINE} Percentiles: of all calls."),
        show=formats,
        floors=[1e-4, 1e-3, 1.0, math.nan, math.nan, math.nan],
        least=2.3,
    )  # fmt: skip
    costs = [
        alt.Shown(panel.heading, lines, panel.unit if form is compact else "", form)
        for (panel, lines), form in zip(found, formats, strict=True)
    ]
    figure.description = (
        f"What the rungs cost beside speed in {name}, over threads. {alt.at_the_end(costs)}"
    ).rstrip()
    return figure


def _chunks(part: Part) -> Drawing:
    answer = lookups.chunks(part)
    sizes, looks = answer["sizes"], style.looks(map(rung, REGISTRIES))
    found = []
    for count in answer["threads"]:
        lines = [
            marks.series(
                name,
                looks[rung(name)],
                sizes,
                [lookups.over_flat(part, name, size, count) for size in sizes],
            )
            for name in REGISTRIES[:-1]
        ]
        title = Panel(thread_count(count, part.run.cores), "ns per operation over flat")
        found.append((title, [line for line in lines if line.present]))
    figure = marks.lines(
        part.run, found, "Does the number of chunks matter?",
        "Cost over flat with as many chunks: each free asks for one of them at random",
        caption(part.run, "", marks="Line: median of paired differences; band: 95 % interval."),
        scale="linear", xlabel="live chunks of 64 KiB", points=sizes, least=3.0,
    )  # fmt: skip
    costs = [alt.Shown(panel.heading, lines, form=nanoseconds) for panel, lines in found]
    figure.description = (
        f"Cost of each rung over flat by live chunks. {alt.at_the_end(costs, '{} chunks')}"
    ).rstrip()
    return figure


def _pairs(part: Part, answer: Callable[[Part], Answer], what: str) -> Drawing:
    ratios: dict[tuple[str, int], Ratio] = answer(part)["ratios"]
    names = list(dict.fromkeys(name for name, _ in ratios))
    panels = {
        thread_count(count, part.run.cores): [ratios[name, count] for name in names]
        for count in part.plan.threads
    }
    figure = marks.forest(
        names, panels, f"Throughput, {what}",
        "Right of 1: the first is faster. Filled: the verdict is a difference; ring: it is not",
        caption(part.run, "", marks=DOTS),
    )  # fmt: skip
    figure.description = f"Throughput ratios, {what}: {answer(part)['verdicts']}."
    return figure


def _locks(part: Part) -> Drawing:
    found = [
        (Panel(name, "operations/s"), curves.series(part.run, name, lambda cell: cell.throughput))
        for name in part.plan.workloads
    ]
    renamed = [(panel, [_lock_named(line) for line in lines]) for panel, lines in found]
    figure = marks.lines(
        part.run, renamed, "The locked rung under three locks",
        "Every free of a Mid block takes this one lock",
        caption(part.run, "", marks=LINE),
        least=3.0,
    )  # fmt: skip
    figure.description = _throughputs("the locked rung under each lock", renamed)
    return figure


def _lock_named(line: curves.Series) -> curves.Series:
    for lock, look in (
        ("spin", style.LOOKS["jemalloc"]),
        ("mutex", style.LOOKS["tcmalloc"]),
        ("", style.LOOKS["hakmem"]),
    ):
        if lock in line.label:
            return replace(line, text=lock or "spin, then futex", look=look)
    return line


def _peers(part: Part) -> Drawing:
    answer = builds.peers(part)
    rows = {(row.workload, row.threads): row for row in answer["rows"]}
    names = answer["order"]
    panels = {}
    for count in part.plan.threads:
        panels[thread_count(count, part.run.cores)] = [
            Ratio(rows[name, count].ratio, rows[name, count].verdict)
            if (name, count) in rows
            else analyse.UNMEASURED
            for name in names
        ]
    figure = marks.forest(
        names, panels, "hakmem over the best other malloc of each cell",
        "Right of 1: hakmem is faster. Filled: the verdict is a difference; ring: it is not",
        caption(part.run, "", marks=DOTS),
    )  # fmt: skip
    figure.description = answer["finding"]
    return figure


def _crowd(part: Part) -> Drawing:
    counts = [count for count in part.plan.threads if count >= part.plan.cores]
    labels = list(part.plan.allocators)
    looks = style.looks(labels)
    found = []
    for name in (builds.LOCAL, builds.SHARED):
        lines = []
        for label in labels:
            values = [_kept(part, label, name, count) for count in counts]
            lines.append(marks.series(style.short(label), looks[label], counts, values))
        panel = Panel(name, f"x of its speed with {part.plan.cores} threads")
        found.append((panel, [line for line in lines if line.present]))
    figure = marks.lines(
        part.run, found, "More threads than cores: what is left",
        "mid_gap: each thread frees its own blocks · mid_exchange: nearly each was another's",
        caption(part.run, "", marks=PAIRED),
        show=[times] * len(found), level=1.0, least=3.0,
    )  # fmt: skip
    kept = [alt.Shown(panel.heading, lines, form=times) for panel, lines in found]
    figure.description = (
        f"Share of its speed with {part.plan.cores} threads that each malloc keeps with more. "
        f"{alt.at_the_end(kept)}"
    ).rstrip()
    return figure


def _kept(part: Part, label: str, name: str, count: int) -> Estimate:
    if count == part.plan.cores:
        has = analyse.cell(part, label, name, count) is not None
        return Estimate(1.0, 1.0, 1.0) if has else MISSING
    return analyse.kept_speed(part, label, name, count).estimate
