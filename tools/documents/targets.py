"""The targets of docs/performance.md and what the kept rank run says of each.

table()    a row per target: what was asked, what was reached, and where it was missed most

Of one number, "yes" or "no" is said only if its whole 95 % interval is on that side of the target.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mtbench.__main__ import main as command
from mtbench.analysis.statistics import geometric_mean, geometric_mean_interval, median
from mtbench.base.table import ratio as interval
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import Record
from mtbench.runs.result import Counters, Result
from plots.data import Estimate
from plots.pages.table import markdown_table
from tools.repository import Json

MID = ("mid_gap", "mid_replace", "mid_exchange", "larson", "larson_mid", "producer_consumer")
TINY = ("random_mixed", "tiny_exchange")
BIG = ("large_mixed", "huge_mixed")
MOST_THREADS = 64
WORST = 4
"""Missed cells that are named; the table of all cells holds the rest."""


@dataclass(frozen=True)
class Cell:
    """One cell of the rank table; ratios over the best and over the leanest of the others.

    by_block: the throughput ratio of each block, as the geometric mean resamples them.
    """

    workload: str
    threads: int
    ratio: Estimate
    verdict: str
    memory: float
    by_block: tuple[float, ...]

    @property
    def name(self) -> str:
        """As a table names it."""
        return f"`{self.workload}` at {self.threads}"


def table(run: Path) -> str:
    """Every target beside what `run` shows. Markdown."""
    cells = [
        Cell(
            entry["workload"],
            entry["threads"],
            Estimate(*(_number(entry["ratio"][key]) for key in Estimate._fields)),
            entry["verdict"],
            _number(entry["memory_ratio"]["value"]),
            tuple(entry["by_block"]),
        )
        for entry in ranked(run)["cells"]
    ]
    records = records_of(run)
    cores = RunDirectory.read(run).manifest.plan.cores
    mid, tiny, big = ([c for c in cells if c.workload in group] for group in (MID, TINY, BIG))
    rows = [
        ["mid, exchange, larson, producer/consumer: every cell at least 1.0 x", _speed(mid)],
        ["their geometric mean at least 1.25 x", _mean(mid)],
        ["mid exchange at 64 threads at least 2 x", _one(cells, "mid_exchange", 64)],
        [
            f"{MOST_THREADS} threads keep at least 0.9 x of as many threads as cores "
            "(oversubscription)",
            _kept(records, cores),
        ],
        ["tiny: every cell at least 1.0 x", _speed(tiny)],
        [
            "large and huge: every cell at least 1.0 x",
            _speed(big),
        ],
        ["peak memory at most that of the leanest of the three fastest", _memory(cells)],
        [
            "lock acquisitions below 1 in 1 000 operations, waits below 1 in 100 000",
            _locks(records),
        ],
    ]
    return markdown_table(["target", "reached"], rows)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def ranked(run: Path) -> Json:
    """What `mtbench rank RUN --of hakmem --json` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        command(["rank", str(run), "--of", "hakmem", "--json"])
    found: Json = json.loads(printed.getvalue())
    return found


def records_of(run: Path, allocator: str = "hakmem") -> list[Record]:
    """The good trials of one allocator."""
    records = RunDirectory.read(run).records()
    return [record for record in records if record.allocator == allocator and record.good]


def _named(texts: Iterable[str]) -> str:
    """The first few of the missed, worst first."""
    missed = list(texts)
    more = len(missed) - WORST
    return ", ".join(missed[:WORST]) + (f" and {more} more" if more > 0 else "")


def _speed(cells: list[Cell]) -> str:
    missed = sorted((c for c in cells if c.ratio.value < 1), key=lambda c: c.ratio.value)
    if not cells:
        return "not measured"
    if not missed:
        return f"yes, in {len(cells)} of {len(cells)}"
    sure = [cell for cell in missed if cell.verdict == "slower"]
    names = _named(f"{cell.name}: {cell.ratio.value:.2f}" for cell in missed)
    return (
        f"in {len(cells) - len(missed)} of {len(cells)}; of the others {len(sure)} beyond noise. "
        f"{names}"
    )


def _mean(cells: list[Cell]) -> str:
    if not cells:
        return "not measured"
    mean = geometric_mean_interval([cell.by_block for cell in cells])
    return f"{reached(mean, 1.25)}, {interval(mean)} x over {len(cells)} cells"


def _one(cells: list[Cell], workload: str, threads: int) -> str:
    for cell in cells:
        if (cell.workload, cell.threads) == (workload, threads):
            return f"{reached(cell.ratio, 2)}, {interval(cell.ratio)} x"
    return "not measured"


def reached(found: Estimate, target: float) -> str:
    """Whether a number is at least the target; "undecided" where its interval holds both sides."""
    if found.low >= target:
        return "yes"
    return "no" if found.high < target else "undecided"


def _by_cell(
    records: list[Record], value: Callable[[Record, Result], float]
) -> dict[tuple[str, int], float]:
    """The median over trials of one number of each cell's records."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for record in records:
        if record.good:
            found[record.workload, record.threads].append(value(record, record.good))
    return {key: median(values) for key, values in found.items()}


def _kept(records: list[Record], cores: int) -> str:
    rate = _by_cell(records, lambda _, result: result.operations / result.elapsed_s)
    kept = {
        workload: rate[workload, MOST_THREADS] / rate[workload, cores]
        for workload, threads in rate
        if threads == MOST_THREADS and (workload, cores) in rate
    }
    if not kept:
        return "not measured"
    missed = sorted((ratio, workload) for workload, ratio in kept.items() if ratio < 0.9)
    if not missed:
        return f"yes, in {len(kept)} of {len(kept)} workloads"
    names = _named(f"`{workload}`: {ratio:.2f}" for ratio, workload in missed)
    return f"in {len(kept) - len(missed)} of {len(kept)} workloads. {names}"


def _memory(cells: list[Cell]) -> str:
    known = [cell for cell in cells if not math.isnan(cell.memory)]
    missed = sorted((c for c in known if c.memory > 1), key=lambda c: -c.memory)
    over = _named(f"{cell.name}: {cell.memory:.2f}" for cell in missed)
    within = len(known) - len(missed)
    half = geometric_mean([cell.memory for cell in known])
    return f"in {within} of {len(known)}; geometric mean {half:.2f}. {over}"


def _locks(records: list[Record]) -> str:
    def per_operation(field: str) -> Callable[[Record, Result], float]:
        def value(record: Record, result: Result) -> float:
            locks = (record.allocator_stats or Counters()).locks or []
            return float(sum(getattr(lock, field) for lock in locks) / result.operations)

        return value

    if not any(record.allocator_stats for record in records):
        return "not recorded in this run"
    taken = _by_cell(records, per_operation("acquisitions"))
    waited = _by_cell(records, per_operation("waited"))
    often = sorted(((n, key) for key, n in taken.items() if n > 1e-3), reverse=True)
    long = [key for key, n in waited.items() if n > 1e-5]
    names = _named(f"`{key[0]}` at {key[1]}: 1 in {1 / n:,.0f}" for n, key in often)
    return (
        f"acquisitions in {len(taken) - len(often)} of {len(taken)} cells, waits in "
        f"{len(waited) - len(long)} of {len(waited)}. {names}"
    ).strip()
