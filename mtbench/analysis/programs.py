"""What a program used under each allocator: intervals, ratios to the baseline, and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mtbench.analysis.cells import Floats, Results
from mtbench.analysis.statistics import Ratio, Verdict, bootstrap_median, paired_ratio
from mtbench.base.table import bytes_, number, ratio, text_table
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import Identity, Record
from mtbench.runs.result import ProgramUse
from plots.data import (
    PROGRAM_MEASURES,
    Estimate,
    Finding,
    Metric,
    Program,
    ProgramCell,
    Run,
    Tone,
)
from plots.numbers import counted, in_words, part, tallied

_UNSEEN_SHARE = 0.05
Measured = dict[Cell, dict[str, Floats]]
"""cell -> measure -> one number per round, nan where that run failed, shape (trials,)."""


def gather(records: Iterable[Record], plan: Plan) -> Measured:
    """The measures of every good run; `order` is its place among all runs."""
    found: Measured = {cell: {} for cell in plan.cells}
    for record in records:
        block = record.block
        measures = found.get(record.cell)
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
        spent = used.cpu_s or 0.0
        values |= {"unseen": min(1.0, proof.unseen_s / spent) if spent > 0 else 0.0}
        for key, value in values.items():
            if key not in measures:
                measures[key] = np.full(plan.trials, math.nan)
            measures[key][block] = value
    return found


def presented(run: RunDirectory, plan: Plan, base: str, measured: Measured) -> tuple[Program, ...]:
    """The programs of a run at each number of threads, with what they used under each allocator;
    none of a sweep. measured: as `gather` has it."""
    manifest = run.manifest.shown()
    if not manifest.programs:
        return ()
    failed = dict.fromkeys(plan.cells, 0)
    left: dict[Cell, set[str]] = {cell: set() for cell in plan.cells}
    for record in run.records():
        if record.cell in failed:
            failed[record.cell] += not record.good
            left[record.cell].update(record.identity.left if record.identity else ())
    found = []
    for task in manifest.programs:
        numbers = tuple(
            Metric(
                entry.name,
                entry.name,
                "",
                "lower" if entry.lower else "higher",
                f"the program's own: {entry.pattern}",
            )
            for entry in task.numbers
        )
        leading = _leading(task.by, numbers)
        metrics = (*PROGRAM_MEASURES, *numbers)
        counts = plan.counts(task.name)
        for threads in counts:
            places = [Cell(label, task.name, threads) for label in plan.allocators]
            cells = tuple(
                _cell(
                    place.allocator,
                    measured[place],
                    measured.get(Cell(base, task.name, threads), {}),
                    failed[place],
                    tuple(sorted(left[place])),
                    metrics,
                    leading if place.allocator != base else None,
                )
                for place in places
                if place in measured
            )
            if cells:
                name = f"{task.name} × {threads}" if len(counts) > 1 else task.name
                tally = manifest.tallies.get(task.name) if threads == counts[0] else None
                found.append(
                    Program(task.name, name, threads, task.text(), leading, numbers, cells, tally)
                )
    return tuple(found)


def _leading(by: str, numbers: tuple[Metric, ...]) -> Metric:
    """The measure that is compared: as asked for, or the first number, or wall time."""
    if by:
        return next(metric for metric in PROGRAM_MEASURES if metric.key == by)
    return numbers[0] if numbers else PROGRAM_MEASURES[0]


def _cell(
    label: str,
    mine: dict[str, Floats],
    rival: dict[str, Floats],
    failed: int,
    left: tuple[str, ...],
    metrics: tuple[Metric, ...],
    leading: Metric | None,
) -> ProgramCell:
    """leading: None for the baseline itself, which is compared with nobody."""
    ratios = {
        metric.key: paired_ratio(mine[metric.key], rival[metric.key])
        for metric in metrics
        if leading and metric.key in mine and metric.key in rival
    }
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
        verdict=_verdict(ratios.get(leading.key), leading) if leading else "",
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


def findings(
    run: RunDirectory, shown: Sequence[Program], results: Results, base: str
) -> list[Finding]:
    """A sentence for each program and allocator against the baseline, the clearest first; one for
    a program under which no malloc differs."""
    told = []
    for program in shown:
        key = program.leading.key
        rivals = [c for c in program.cells if c.allocator != base and c.ratio(key).present]
        alike = not any(cell.verdict for cell in rivals)
        if alike and len(rivals) > 1:
            told.append((-0.5, _alike(program, rivals)))
        else:
            why = _share(program) if alike else ""
            told += [_against(program, cell, cell.ratio(key), base, why) for cell in rivals]
    told.sort(key=lambda entry: -entry[0])
    sentences = [finding for program in shown for finding in _of_the_proof(program)]
    sentences += [finding for _, finding in told]
    for name, plain in run.manifest.without_preload.items():
        sentences.insert(0, _takes_none(name, plain, results))
    if results.failures:
        labels = sorted({record.allocator for record in results.failures})
        text = f"{counted(len(results.failures), 'run')} failed, under {', '.join(labels)}."
        sentences.append(Finding(text, results.failures[0].reason or "", "bad"))
    for name, codes in _unlike_ends(run):
        text = f"{name} ends otherwise under another malloc: {codes}."
        sentences.insert(0, Finding(text, "perhaps not the same work", "bad"))
    if not sentences:
        return [Finding("One allocator only: nothing to compare with.")]
    return sentences


def _against(
    program: Program, cell: ProgramCell, found: Estimate, base: str, why: str
) -> tuple[float, Finding]:
    """How clear a difference to the baseline is, and the sentence; why: what explains that there is
    none."""
    name, label = program.name, program.leading.label
    ratio_text = f"{found.value:.2f} x the {label} of {base}"
    evidence = f"{ratio(found)} x, n = {cell.trials}"
    memory = cell.ratio("rss_peak")
    if memory.present:
        evidence += f"; peak memory {memory.value:.2f} x"
    if cell.verdict in ("better", "worse"):
        tone: Tone = "good" if cell.verdict == "better" else "bad"
        text = f"{name} under {cell.allocator}: {ratio_text}, {cell.verdict}."
        return abs(math.log(found.value)), Finding(text, evidence, tone)
    seen = f"{cell.verdict or Verdict.SAME} in {label} to {base}"
    return -1.0, Finding(f"{name} under {cell.allocator}: {seen}{why}.", evidence)


def _share(program: Program) -> str:
    """How much of the program is its malloc's, where that was counted."""
    if program.tally is None:
        return ""
    calls = f"{in_words(program.tally.calls_per_s)} calls per second"
    return f"; {part(program.tally.share)} of its CPU time is the malloc's ({calls})"


def _alike(program: Program, rivals: Sequence[ProgramCell]) -> Finding:
    """That no malloc differs from the baseline, and how much of the program is its malloc's."""
    label, key = program.leading.label, program.leading.key
    text = f"{program.name}: no difference seen in {label} between {len(rivals) + 1} mallocs"
    spans = {label: key, "peak memory": "rss_peak"}
    found = {name: [cell.ratio(key).value for cell in rivals] for name, key in spans.items()}
    evidence = ", ".join(f"{name} {min(r):.2f} to {max(r):.2f} x" for name, r in found.items())
    least = min(cell.trials for cell in rivals)
    return Finding(f"{text}{_share(program)}.", f"{evidence}, n = {least}")


def _unlike_ends(run: RunDirectory) -> Iterator[tuple[str, str]]:
    """Programs, and the exit codes of their good runs by allocator, where --ignore-exit-code let
    them differ."""
    codes: dict[str, dict[str, set[int]]] = {}
    for record in run.records():
        if record.good and record.exit_code is not None:
            of = codes.setdefault(record.workload, {})
            of.setdefault(record.allocator, set()).add(record.exit_code)
    for name, of in codes.items():
        if len({frozenset(found) for found in of.values()}) > 1:
            yield (
                name,
                ", ".join(
                    f"{label} with {' or '.join(map(str, sorted(found)))}"
                    for label, found in of.items()
                ),
            )


def _of_the_proof(program: Program) -> list[Finding]:
    """What went by unproven, and what the program did not end itself."""
    told = []
    share = max((cell.unseen for cell in program.cells), default=0.0)
    if share >= _UNSEEN_SHARE:
        text = f"Up to {share:.0%} of {program.name}'s CPU time is unproven."
        told.append(Finding(text, "children that ended before their malloc could be seen"))
    left = sorted({one for cell in program.cells for one in cell.left})
    if left:
        text = (
            f"{program.name} left {', '.join(left)} running when it ended; no number counts that."
        )
        told.append(Finding(text, "mtbench ended it after each run"))
    return told


def _takes_none(name: str, plain: str, results: Results) -> Finding:
    """A program that died by a signal under every malloc but libc's. plain: how it ended without
    a preloaded one, "" if well."""
    failures = [record for record in results.failures if record.workload == name]
    ends = sorted({end for record in failures if (end := record.killed_by)})
    text = f"{name} dies by {', '.join(ends)} under every preloaded malloc"
    if plain:
        return Finding(f"{text}, and fails without one too: {plain}.", "one run without", "bad")
    return Finding(
        f"{text}, and ends well without one. What usually does that: it links a malloc "
        "statically, or looks malloc up in the C library itself, so that blocks of one malloc "
        "reach the free of another; or a sandbox (seccomp) refuses a system call of the malloc.",
        "one run without",
        "bad",
    )


def table(program: Program, base: str) -> str:
    """A program's cells for a terminal, and what it asks of its malloc."""
    leading, own = program.leading, program.numbers
    rows = []
    for cell in program.cells:
        numbers = [number(cell.measure(metric.key).value) for metric in own]
        rows.append(
            [
                cell.allocator,
                *numbers,
                _bounded(cell.measure("wall_s")),
                ratio(cell.ratio(leading.key)),
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
        program.name,
        *(metric.label for metric in own),
        "wall s [95 %]",
        f"{leading.label} / {base}",
        "verdict",
        "user s",
        "system s",
        "peak memory",
        "waits",
        "faults",
        "runs",
    ]
    told = [tallied(program.tally)] if program.tally else []
    return "\n".join([text_table(header, rows), *told])


def _bounded(found: Estimate) -> str:
    if not found.bounded:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def document(run: Run) -> dict[str, Any]:
    """The programs' cells for other programs; null is missing."""
    return {
        "run": run.source,
        "findings": [{"text": entry.text, "evidence": entry.evidence} for entry in run.findings],
        "failed_trials": len(run.failures),
        "tallies": {
            program.name: asdict(program.tally) for program in run.programs if program.tally
        },
        "suite": [
            {
                "allocator": row.allocator,
                "programs": row.programs,
                "ratios": {key: _triple(found) for key, found in row.measures.items()},
            }
            for row in run.suite
        ],
        "cells": [
            {
                "program": program.name,
                "threads": program.threads,
                "command": program.command,
                "allocator": cell.allocator,
                "trials": cell.trials,
                "failed": cell.failed,
                "verdict": cell.verdict,
                "processes": cell.processes,
                "measures": {key: _triple(found) for key, found in cell.measures.items()},
                "ratios": {key: _triple(found) for key, found in cell.ratios.items()},
            }
            for program in run.programs
            for cell in program.cells
        ],
    }


def _triple(found: Estimate) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in found]
