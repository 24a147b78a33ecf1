"""Why hakmem is behind where it is: its cell beside the best other's, from a kept rank run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtbench.report import load
from mtbench.statistics import median
from mtbench.table import markdown_table, number
from tools.targets import ranked, records_of

BEHIND = 0.9
"""Cells below this ratio are looked into."""

Record = dict[str, Any]


def table(run: Path) -> str:
    """Two rows a cell, hakmem's and the best other's: medians over the trials. Markdown."""
    cores = load(run)[2].cores
    rows = []
    for cell in ranked(run)["cells"]:
        if cell["ratio"]["value"] >= BEHIND:
            continue
        place = (cell["workload"], cell["threads"])
        for label in ("hakmem", cell["best"]):
            trials = [r for r in records_of(run, label) if (r["workload"], r["threads"]) == place]
            rows.append([f"{place[0]} at {place[1]}", label, *_row(trials, cores)])
    header = ["cell", "malloc", "operations/s", "CPU used", "sleeps/M ops", "faults/M ops"]
    return markdown_table([*header, "locks/op", "live MiB"], rows)


def _row(trials: list[Record], cores: int) -> list[str]:
    def of(value: Callable[[Record], float]) -> float:
        return median([value(trial["result"]) for trial in trials])

    def per_million(name: str) -> str:
        return number(of(lambda r: r["cpu"][name] / r["operations"] * 1e6))

    used = of(
        lambda r: (
            (r["cpu"]["user_s"] + r["cpu"]["system_s"])
            / (r["elapsed_s"] * min(r["threads"], cores))
        )
    )
    taken = [
        sum(lock["acquisitions"] for lock in trial["allocator_stats"]["locks"])
        / trial["result"]["operations"]
        for trial in trials
        if trial.get("allocator_stats")
    ]
    return [
        number(of(lambda r: r["operations"] / r["elapsed_s"])),
        f"{used:.0%}",
        per_million("voluntary"),
        per_million("minor_faults"),
        number(median(taken)) if taken else "–",
        f"{of(lambda r: r['memory']['live_bytes_peak'] / 2**20):.3g}",
    ]
