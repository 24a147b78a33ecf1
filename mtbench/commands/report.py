"""`mtbench report`, and what a sweep leaves behind: summary, figures, page, closing words."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import plots
from mtbench.analysis import summary
from mtbench.analysis.cells import Results, gather
from mtbench.analysis.present import presented
from mtbench.base.table import number, text_table
from mtbench.base.written import replacing, write_whole
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.plan.plan import Plan
from mtbench.runs.directory import RunDirectory
from mtbench.runs.hosts import opened
from plots import data as plots_data

FIGURE_FORMATS = ("svg", "png", "pdf")
FORMATS = ("html", "csv", "md", *FIGURE_FORMATS)
DEFAULT_FORMATS = ("html", "csv", "svg")


@dataclass(frozen=True)
class Report:
    """A run in numbers and where its page was written."""

    plan: Plan
    results: Results
    run: plots_data.Run
    page: Path


def command(args: argparse.Namespace) -> int:
    """`mtbench report`."""
    loaded = [part for path in args.run for part in load_all(Path(path), args.title or "")]
    runs = [run for _, _, run in loaded]
    if args.markdown:
        print(plots.markdown(runs if len(runs) > 1 else runs[0]))
        return Exit.FINE
    target = Path(args.output or args.run[0])
    if not args.output and not target.exists():
        # RUN:HOST leaves its pages inside the run, beside the one of all hosts.
        folder, _, host = args.run[0].rpartition(":")
        target = Path(folder) / host
    formats = split_formats(args.format)
    page = _publish(runs, target, formats, args.width, args.dpi)
    if not args.quiet:
        print(f"report: {page if 'html' in formats else target}")
    return Exit.FINE


def split_formats(text: str) -> tuple[str, ...]:
    """The formats of a comma-separated list. Raises UsageError for one that is none."""
    chosen = tuple(part.strip() for part in text.split(","))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise UsageError(
            f"--format {text!r}: {unknown[0] or 'nothing'} is no format; "
            f"accepted: {', '.join(FORMATS)}"
        )
    return chosen


def load(path: Path, title: str = "") -> tuple[Plan, Results, plots_data.Run]:
    """A run directory's plan, numbers and presentation. Raises UsageError or MtbenchError."""
    (part,) = load_all(path, title)
    return part


def load_all(path: Path, title: str = "") -> list[tuple[Plan, Results, plots_data.Run]]:
    """As `load`, a part for each host of a fleet's run."""
    parts = []
    for view in opened(path):
        plan = view.manifest.plan
        found = gather(view.records(), plan)
        parts.append((plan, found, presented(view, plan, found, title)))
    if not parts:
        raise MtbenchError(f"{path}: no host has measured anything yet")
    return parts


def write_all(
    directory: RunDirectory, target: Path, formats: Sequence[str]
) -> tuple[list[Report], Path]:
    """As `write`, for every host of a fleet's run on one page."""
    with _of_kept(directory):
        parts = load_all(directory.path)
        page = _publish([run for _, _, run in parts], target, formats)
    return [Report(plan, results, run, page) for plan, results, run in parts], page


def write(directory: RunDirectory, target: Path, formats: Sequence[str]) -> Report:
    """Summary, figures and page of a run into `target`; an interrupted run has them too."""
    with _of_kept(directory):
        plan, results, run = load(directory.path)
        page = _publish([run], target, formats)
    return Report(plan, results, run, page)


@contextlib.contextmanager
def _of_kept(directory: RunDirectory) -> Iterator[None]:
    """After hours of measuring the first question is whether they are lost."""
    try:
        yield
    except MtbenchError as error:
        again = f"mtbench report {shlex.quote(str(directory.path))}"
        raise MtbenchError(f"no report: {error}; every trial is kept: {again}") from error


def _publish(
    runs: list[plots_data.Run],
    target: Path,
    formats: Sequence[str],
    width_mm: float | None = None,
    dpi: int = 150,
) -> Path:
    shown = runs if len(runs) > 1 else runs[0]
    named = dict(zip(_file_names(runs), runs, strict=True))
    try:
        with replacing(target) as draft:
            if "csv" in formats:
                for name, run in named.items():
                    file = f"summary-{name}.csv" if name else "summary.csv"
                    write_whole(draft / file, summary.text(run))
            figures = tuple(name for name in formats if name in FIGURE_FORMATS)
            for name, run in named.items() if figures else ():
                folder = draft / "figures" / name
                plots.export(run, folder, figures, width_mm=width_mm, dpi=dpi)
            if "md" in formats:
                write_whole(draft / "report.md", plots.markdown(shown))
            if "html" in formats:
                write_whole(draft / "report.html", plots.html(shown))
    except OSError as error:
        raise MtbenchError(
            f"{error.filename or target} cannot be written: {error.strerror}"
        ) from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    return target / "report.html"


def _file_names(runs: list[plots_data.Run]) -> list[str]:
    """What tells the runs' files apart: nothing for one, else its directory's name; all numbered
    where two have the same."""
    if len(runs) == 1:
        return [""]
    names = [run.source for run in runs]
    if len(set(names)) == len(names):
        return names
    return [f"{place}-{name}" for place, name in enumerate(names, 1)]


def print_tables(report: Report) -> None:
    """Throughput by threads, a table per workload with a sparkline, and the first finding."""
    run = report.run
    for info in run.workloads:
        rows = []
        for entry in run.allocators:
            cells = [run.cell(entry.label, info.name, count) for count in run.threads]
            if not any(cells):
                continue
            values = [cell.throughput.value if cell else math.nan for cell in cells]
            shown = [
                "failed" if cell and cell.failed and not cell.trials else number(value)
                for cell, value in zip(cells, values, strict=True)
            ]
            rows.append([entry.label, *shown, plots.sparkline(values), _against(run, cells)])
        header = [info.name, *(str(count) for count in run.threads), "", f"vs {run.baseline}"]
        print(f"\n{text_table(header, rows)}")
    most = run.threads[-1]
    print(f"\n{_unit_line(run)}; the last column is at {most} threads, with its 95 % interval")
    finding = run.findings[0]
    print(f"{finding.text}" + (f" ({finding.evidence})" if finding.evidence else ""))


def _against(run: plots_data.Run, cells: Sequence[plots_data.Cell | None]) -> str:
    last = next((cell for cell in reversed(cells) if cell is not None), None)
    if last is None or last.threads != run.threads[-1]:
        return ""
    found = last.metric("ratio")
    if not found.present:
        return ""
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if found.bounded else "")


def _unit_line(run: plots_data.Run) -> str:
    units = sorted({info.unit for info in run.workloads})
    # An interrupted run has cells with fewer trials than were planned.
    up_to = "" if all(cell.trials == run.trials_planned for cell in run.cells) else "up to "
    return (
        f"{' or '.join(units)} per second against threads, medians of {up_to}{run.trials_planned}"
    )


def print_json(report: Report) -> None:
    """The cells, findings and failures as one JSON document."""
    print(json.dumps(document(report), indent=1))


def document(report: Report) -> dict[str, object]:
    """The cells, findings and failures, for JSON."""
    run = report.run
    return {
        "host": run.host,
        "run": run.source,
        "report": str(report.page),
        "findings": [{"text": entry.text, "evidence": entry.evidence} for entry in run.findings],
        "failed_trials": len(run.failures),
        "cells": summary.rows(run),
    }
