"""Allocators over several programs: geometric means of their ratios, and sentences of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mtbench.analysis.cells import Floats
from mtbench.analysis.programs import Measured
from mtbench.analysis.statistics import geometric_mean_interval
from mtbench.base.table import ratio, text_table
from mtbench.plan.plan import Cell, Plan
from plots.data import Finding, Program, SuiteRow, Tone
from plots.numbers import counted

MEASURES = ("wall_s", "cpu_s", "rss_peak")
LEADING = "leading"
_SURE = 0.01
"""Smallest difference of a mean worth a word."""


def rows(
    measured: Measured, plan: Plan, shown: Sequence[Program], base: str
) -> tuple[SuiteRow, ...]:
    """A row for each allocator that has any number, where there are several programs. All means are
    over the same programs; one with several numbers of threads counts at each of them."""
    if len(shown) < 2:
        return ()
    paired = {
        (label, place): _paired(measured, label, base, program)
        for label in plan.allocators
        for place, program in enumerate(shown)
    }
    labels = [
        label for label in plan.allocators if any(paired[label, n] for n in range(len(shown)))
    ]
    lacking = {n: [label for label in labels if not paired[label, n]] for n in range(len(shown))}
    common = [n for n in lacking if not lacking[n]]
    without = tuple(
        f"{shown[n].name} ({', '.join(missing)})" for n, missing in lacking.items() if missing
    )
    return tuple(
        SuiteRow(
            label,
            {
                key: geometric_mean_interval([paired[label, n][key] for n in common])
                for key in (LEADING, *MEASURES)
            },
            len(common),
            without,
        )
        for label in labels
    )


def _paired(measured: Measured, label: str, base: str, program: Program) -> dict[str, Floats]:
    """Paired ratios to the baseline of each measure; empty if one of them has none."""
    mine = measured.get(Cell(label, program.workload, program.threads), {})
    rival = measured.get(Cell(base, program.workload, program.threads), {})
    found = {key: _ratios(mine, rival, key) for key in (*MEASURES, program.leading.key)}
    lead = found[program.leading.key]
    found[LEADING] = 1 / lead if program.leading.better == "higher" else lead
    return found if all(ratios.size for ratios in found.values()) else {}


def _ratios(mine: dict[str, Floats], rival: dict[str, Floats], key: str) -> Floats:
    """Paired ratios of the rounds in which both have a number above zero."""
    if key not in mine or key not in rival:
        return np.empty(0)
    top, bottom = mine[key], rival[key]
    usable = np.isfinite(top) & np.isfinite(bottom) & (top > 0) & (bottom > 0)
    return top[usable] / bottom[usable]


def findings(suite: Sequence[SuiteRow], shown: Sequence[Program], base: str) -> list[Finding]:
    """A sentence for each allocator over all programs, the fastest first."""
    others = [row for row in suite if row.allocator != base and row.measure(LEADING).present]
    told = []
    for row in sorted(others, key=lambda row: row.measure(LEADING).value):
        time, memory = row.measure(LEADING), row.measure("rss_peak")
        cells = [cell for each in shown if (cell := each.cell(row.allocator)) is not None]
        better = sum(cell.verdict == "better" for cell in cells)
        worse = sum(cell.verdict == "worse" for cell in cells)
        tone: Tone = "neutral"
        if time.bounded and abs(time.value - 1) > _SURE and not time.low <= 1 <= time.high:
            tone = "good" if time.value < 1 else "bad"
        seen = {"good": ", faster", "bad": ", slower", "neutral": ", no difference seen"}[tone]
        many = counted(row.programs, "program")
        text = (
            f"Over {many} {row.allocator} takes {time.value:.2f} x the time of {base}{seen}, at "
            f"{memory.value:.2f} x its peak memory; better in {better} of them, worse in {worse}."
        )
        told.append(Finding(text, f"geometric means {ratio(time)} and {ratio(memory)}", tone))
    if suite and suite[0].without:
        text = f"Left out of these means, as a number is missing: {'; '.join(suite[0].without)}."
        told.append(Finding(text, "a failure is never a number"))
    return told


def absent(left_out: Mapping[str, str]) -> list[Finding]:
    """A sentence about the programs that were asked for and could not run."""
    if not left_out:
        return []
    why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return [Finding(f"Left out, as they cannot run here: {', '.join(left_out)}.", why)]


def table(suite: Sequence[SuiteRow], base: str) -> str:
    """The rows for a terminal."""
    header = ["all programs", f"time / {base}", "wall", "CPU", "peak memory", "programs"]
    return text_table(
        header,
        [
            [
                row.allocator,
                *(ratio(row.measure(key)) for key in (LEADING, *MEASURES)),
                str(row.programs),
            ]
            for row in suite
        ],
    )
