"""What a program used under each allocator: intervals, ratios to the baseline, and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from mtbench.analysis.cells import Floats, Results
from mtbench.analysis.statistics import Ratio, Verdict, bootstrap_median, paired_ratio
from mtbench.base.table import bytes_, number, ratio, text_table
from mtbench.plan.plan import Plan
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import Identity, Record
from mtbench.runs.result import ProgramUse
from plots.data import PROGRAM_MEASURES, Estimate, Finding, Metric, ProgramCell, Run, Tone

_UNSEEN_SHARE = 0.05
Measured = dict[str, dict[str, Floats]]
"""allocator -> measure -> one number per round, nan where that run failed, shape (trials,)."""


def gather(records: Iterable[Record], plan: Plan) -> Measured:
    """The measures of every good run; `order` is its place among all runs."""
    found: Measured = {label: {} for label in plan.allocators}
    for record in records:
        block = record.block
        measures = found.get(record.allocator)
        if not record.good or measures is None or not 0 <= block < plan.trials:
            continue
        used = record.good.program or ProgramUse()
        proof = record.identity or Identity()
        values = {
            metric.key: math.nan if (value := getattr(used, metric.key)) is None else value
            for metric in PROGRAM_MEASURES
        }
        processes = proof.processes or 0
        values |= used.numbers
        values |= {"order": record.order, "processes": processes}
        values |= {"unproven": processes - (proof.proven or 0)}
        spent = (used.user_s or 0.0) + (used.system_s or 0.0)
        values |= {"unseen": min(1.0, proof.unseen_s / spent) if spent > 0 else 0.0}
        for key, value in values.items():
            if key not in measures:
                measures[key] = np.full(plan.trials, math.nan)
            measures[key][block] = value
    return found


class Shown(NamedTuple):
    """What `plots.data.Run` holds of a program; nothing for a sweep."""

    program: str = ""
    program_numbers: tuple[Metric, ...] = ()
    programs: tuple[ProgramCell, ...] = ()


def presented(run: RunDirectory, plan: Plan, base: str) -> Shown:
    """The program of a run, with what it used under each allocator."""
    manifest = run.manifest.shown()
    if manifest.program is None:
        return Shown()
    numbers = tuple(
        Metric(entry.name, entry.name, "", "lower" if entry.lower else "higher",
               f"the program's own: {entry.pattern}")
        for entry in manifest.program.numbers
    )  # fmt: skip
    records = list(run.records())
    measured = gather(records, plan)
    failed = dict.fromkeys(plan.allocators, 0)
    left: dict[str, set[str]] = {label: set() for label in plan.allocators}
    for record in records:
        failed[record.allocator] += not record.good
        left[record.allocator].update(record.identity.left if record.identity else ())
    cells = tuple(
        _cell(label, measured, failed[label], tuple(sorted(left[label])), base, numbers)
        for label in plan.allocators
    )
    return Shown(manifest.workloads[0].description, numbers, cells)


def _cell(
    label: str,
    measured: Measured,
    failed: int,
    left: tuple[str, ...],
    base: str,
    numbers: tuple[Metric, ...],
) -> ProgramCell:
    mine, rival = measured[label], measured.get(base, {})
    metrics = (*PROGRAM_MEASURES, *numbers)
    ratios = {
        metric.key: paired_ratio(mine[metric.key], rival[metric.key])
        for metric in metrics
        if label != base and metric.key in mine and metric.key in rival
    }
    leading = numbers[0] if numbers else PROGRAM_MEASURES[0]
    wall = mine.get("wall_s", np.empty(0))
    good = np.isfinite(wall)
    return ProgramCell(
        allocator=label,
        trials=int(good.sum()),
        failed=failed,
        measures={
            metric.key: bootstrap_median(mine[metric.key])
            for metric in metrics
            if metric.key in mine
        },
        ratios={key: found.estimate for key, found in ratios.items()},
        verdict=_verdict(ratios.get(leading.key), leading),
        wall_s=wall[good],
        order=mine["order"][good] if "order" in mine else np.empty(0),
        processes=int(np.nanmax(mine["processes"])) if good.any() else 0,
        unproven=int(np.nanmax(mine["unproven"])) if good.any() else 0,
        unseen=float(np.nanmedian(mine["unseen"])) if good.any() else 0.0,
        left=left,
    )


def _verdict(found: Ratio | None, metric: Metric) -> str:
    if found is None or found.verdict is Verdict.SAME:
        return ""
    if found.verdict is Verdict.FEW:
        return found.verdict
    return "better" if (found.verdict is Verdict.FASTER) == (metric.better == "higher") else "worse"


def findings(run: RunDirectory, plan: Plan, results: Results, base: str) -> list[Finding]:
    """A sentence an allocator against the baseline, the clearest difference first."""
    parts = presented(run, plan, base)
    leading = (*parts.program_numbers, PROGRAM_MEASURES[0])[0]
    name = plan.workloads[0]
    told = []
    for cell in parts.programs:
        found = cell.ratio(leading.key)
        if cell.allocator == base or not found.present:
            continue
        ratio_text = f"{found.value:.2f} x the {leading.label} of {base}"
        evidence = f"{ratio(found)} x, n = {cell.trials}"
        memory = cell.ratio("rss_peak")
        if memory.present:
            evidence += f"; peak memory {memory.value:.2f} x"
        if cell.verdict in ("better", "worse"):
            tone: Tone = "good" if cell.verdict == "better" else "bad"
            text = f"{name} under {cell.allocator}: {ratio_text}, {cell.verdict}."
            told.append((abs(math.log(found.value)), Finding(text, evidence, tone)))
        else:
            seen = cell.verdict or Verdict.SAME
            text = f"{name} under {cell.allocator}: {seen} in {leading.label} to {base}."
            told.append((-1.0, Finding(text, evidence)))
    told.sort(key=lambda entry: -entry[0])
    sentences = [*_of_the_proof(parts.programs, name), *(finding for _, finding in told)]
    if (plain := run.manifest.without_preload) is not None:
        sentences.insert(0, _takes_none(name, plain, results))
    if results.failures:
        labels = sorted({record.allocator for record in results.failures})
        text = f"{len(results.failures)} runs failed, under {', '.join(labels)}."
        sentences.append(Finding(text, results.failures[0].reason or "", "bad"))
    if codes := _unlike_ends(run):
        text = f"{name} ends otherwise under another malloc: {codes}."
        sentences.insert(0, Finding(text, "perhaps not the same work", "bad"))
    if not sentences:
        return [Finding("One allocator only: nothing to compare with.")]
    return sentences


def _unlike_ends(run: RunDirectory) -> str:
    """The exit codes of the good runs by allocator, where --ignore-exit-code let them differ."""
    codes: dict[str, set[int]] = {}
    for record in run.records():
        if record.good and record.exit_code is not None:
            codes.setdefault(record.allocator, set()).add(record.exit_code)
    if len({frozenset(found) for found in codes.values()}) < 2:
        return ""
    return ", ".join(
        f"{label} with {' or '.join(map(str, sorted(found)))}" for label, found in codes.items()
    )


def _of_the_proof(cells: Iterable[ProgramCell], name: str) -> list[Finding]:
    """What went by unproven, and what the program did not end itself."""
    told = []
    share = max((cell.unseen for cell in cells), default=0.0)
    if share >= _UNSEEN_SHARE:
        text = f"Up to {share:.0%} of {name}'s CPU time is unproven."
        told.append(Finding(text, "children that ended before their malloc could be seen"))
    left = sorted({one for cell in cells for one in cell.left})
    if left:
        text = f"{name} left {', '.join(left)} running when it ended; no number counts that."
        told.append(Finding(text, "mtbench ended it after each run"))
    return told


def _takes_none(name: str, plain: str, results: Results) -> Finding:
    """A program that died by a signal under every malloc but libc's. plain: how it ended without
    a preloaded one, "" if well."""
    ends = sorted({end for record in results.failures if (end := record.killed_by)})
    text = f"{name} dies by {', '.join(ends)} under every preloaded malloc"
    if plain:
        return Finding(f"{text}, and fails without one too: {plain}.", "one run without", "bad")
    return Finding(
        f"{text}, and ends well without one. What usually does that: it loads a part of itself "
        "with RTLD_DEEPBIND or links a malloc statically, so that blocks of one malloc reach the "
        "free of another; or a sandbox (seccomp) refuses a system call of the malloc.",
        "one run without",
        "bad",
    )


def table(run: Run) -> str:
    """The program's cells for a terminal."""
    leading = run.program_numbers[0] if run.program_numbers else PROGRAM_MEASURES[0]
    rows = []
    for cell in run.programs:
        against = cell.ratio(leading.key)
        numbers = [number(cell.measure(metric.key).value) for metric in run.program_numbers]
        rows.append(
            [
                cell.allocator,
                *numbers,
                _bounded(cell.measure("wall_s")),
                ratio(against),
                cell.verdict or "-",
                number(cell.measure("user_s").value),
                number(cell.measure("system_s").value),
                bytes_(cell.measure("rss_peak").value),
                number(cell.measure("voluntary").value),
                number(cell.measure("minor_faults").value),
                f"{cell.trials}" + (f" ({cell.failed} failed)" if cell.failed else ""),
            ]
        )
    header = [
        run.workloads[0].name,
        *(metric.label for metric in run.program_numbers),
        "wall s [95 %]",
        f"{leading.label} / {run.baseline}",
        "verdict",
        "user s",
        "system s",
        "peak memory",
        "waits",
        "faults",
        "runs",
    ]
    return text_table(header, rows)


def _bounded(found: Estimate) -> str:
    if not found.bounded:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def document(run: Run) -> dict[str, Any]:
    """The program's cells for other programs; null is missing."""
    return {
        "run": run.source,
        "program": run.program,
        "findings": [{"text": entry.text, "evidence": entry.evidence} for entry in run.findings],
        "failed_trials": len(run.failures),
        "cells": [
            {
                "allocator": cell.allocator,
                "trials": cell.trials,
                "failed": cell.failed,
                "verdict": cell.verdict,
                "processes": cell.processes,
                "measures": {key: _triple(found) for key, found in cell.measures.items()},
                "ratios": {key: _triple(found) for key, found in cell.ratios.items()},
            }
            for cell in run.programs
        ],
    }


def _triple(found: Estimate) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in found]
