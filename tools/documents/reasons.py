"""Why hakmem is behind where it is: its cell beside the best other's, from a kept rank run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mtbench.analysis.statistics import median
from mtbench.base.table import number
from mtbench.commands.report import load
from mtbench.plan.plan import Cell
from mtbench.runs.record import Record
from mtbench.runs.result import Memory, Result, cpu_seconds, given
from plots.pages.table import markdown_table
from tools.documents.targets import ranked, records_of

BEHIND = 0.9
"""Cells below this ratio are looked into."""


def table(run: Path) -> str:
    """Two rows per cell, hakmem's and the best other's: medians over the trials. Markdown."""
    cores = load(run)[2].cores
    rows = []
    for cell in ranked(run)["cells"]:
        if cell["ratio"]["value"] >= BEHIND:
            continue
        for label in ("hakmem", cell["best"]):
            place = Cell(label, cell["workload"], cell["threads"])
            trials = [record for record in records_of(run, label) if record.cell == place]
            rows.append([f"{place.workload} at {place.threads}", label, *_row(trials, cores)])
    header = ["cell", "malloc", "operations/s", "CPU used", "sleeps/M ops", "faults/M ops"]
    return markdown_table([*header, "locks/op", "live MiB"], rows)


def _row(trials: list[Record], cores: int) -> list[str]:
    results = [result for trial in trials if (result := trial.good)]

    def of(value: Callable[[Result], float]) -> float:
        return median([value(result) for result in results])

    def per_million(name: str) -> str:
        return number(of(lambda r: given(getattr(r.cpu, name)) / r.operations * 1e6))

    used = of(lambda r: cpu_seconds(r) / (r.elapsed_s * min(r.threads or 1, cores)))
    taken = [
        sum(lock.acquisitions for lock in trial.allocator_stats.locks or [])
        / trial.result.operations
        for trial in trials
        if trial.allocator_stats and trial.result
    ]
    return [
        number(of(lambda r: r.operations / r.elapsed_s)),
        f"{used:.0%}",
        per_million("voluntary"),
        per_million("minor_faults"),
        number(median(taken)) if taken else "–",
        f"{of(lambda r: given((r.memory or Memory()).live_bytes_peak) / 2**20):.3g}",
    ]
