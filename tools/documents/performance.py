"""Tables of docs/performance.md from the kept runs, and the README's terminal."""

from __future__ import annotations

import contextlib
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtbench.__main__ import main as command
from mtbench.analysis.statistics import median
from mtbench.base.table import number
from mtbench.commands.report import Report, load, print_tables
from mtbench.plan.plan import Cell
from mtbench.runs.directory import RunDirectory
from mtbench.runs.result import Counters
from plots.data import MISSING, Run
from plots.pages.table import markdown_table
from tools.documents import reasons, targets
from tools.learner import report
from tools.repository import DATA


def purges(name: str, of: str) -> str:
    """How often an allocator gave memory back, per million operations from first to last, where it
    did so at all: medians over trials."""
    run = RunDirectory.read(DATA / name)
    found: dict[Cell, list[float]] = {}
    for record in run.records():
        result = record.good
        if result and record.allocator == of and result.total_operations:
            boxes = (record.allocator_stats or Counters()).boxes or []
            calls = sum(box.purges for box in boxes) / result.total_operations * 1e6
            found.setdefault(record.cell, []).append(calls)
    plan = run.manifest.plan
    rows = [
        [name, *(number(median(found.get(Cell(of, name, n), []))) for n in plan.threads)]
        for name in plan.workloads
        if any(any(found.get(Cell(of, name, n), [])) for n in plan.threads)
    ]
    header = ["workload", *(f"{n} thread{'s' if n > 1 else ''}" for n in plan.threads)]
    return markdown_table(header, rows)


def rank(name: str, of: str, *more: str) -> str:
    """`mtbench rank docs/data/NAME --of OF --markdown`, as it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        command(["rank", str(DATA / name), "--of", of, "--markdown", *more])
    return printed.getvalue().strip()


def made_by(name: str) -> str:
    """The command that measured a kept run."""
    manifest = json.loads((DATA / name / "manifest.json").read_text(encoding="utf-8"))
    return f"Measured by `{manifest['command']}`"


def assembly() -> str:
    """The fast paths' listings and lengths, as `python -m tools.disassembly --keep` kept them."""
    kept = json.loads((DATA / "fast-paths.json").read_text(encoding="utf-8"))
    return "\n\n".join(
        f"`{function}`, {len(listing)} instructions:\n\n```\n" + "\n".join(listing) + "\n```"
        for function, listing in kept.items()
    )


SHOWN = "mid_exchange"
"""The workload of which a sweep's end is shown."""


def ending(threads: Sequence[int] = ()) -> tuple[Run, str]:
    """What the kept rank run has of one workload, and how a sweep of that ends on a terminal.
    threads: these alone."""
    plan, results, run = load(DATA / "rank")
    run = replace(run, workloads=(run.workload(SHOWN),), threads=tuple(threads) or run.threads)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_tables(Report(plan, results, run, Path()))
    return run, printed.getvalue().strip()


def terminal() -> str:
    """A sweep's end as it is printed, within the width of a page."""
    shown = "\n".join(textwrap.fill(line, 100) for line in ending()[1].splitlines())
    return f"```text\n{shown}\n```"


def survey() -> str:
    """The table at a sweep's end, and how to read the ratio of a malloc that is undecided."""
    run, printed = ending((1, 2, 8, 64))
    table = printed.partition("\n\n")[0]
    parts = [f"```text\n{table}\n```"]
    parts.append(
        f"Rows are mallocs, columns are threads, values are operations per second, on {run.cores} "
        "cores. The last column is the ratio to the system's malloc at the most threads, with its "
        "95 % interval. For a difference the interval must leave 1 out, and the verdict of "
        "`mtbench rank` must say so."
    )
    for entry in run.allocators:
        cell = run.cell(entry.label, SHOWN, run.threads[-1])
        found = cell.metric("ratio") if cell else MISSING
        if found.low <= 1 <= found.high:
            parts[-1] += (
                f" `{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]` holds 1: "
                f"{entry.label} and the system malloc cannot be told apart there, however "
                "different the medians look."
            )
            break
    return "\n\n".join(parts)


def learner() -> str:
    """What the learned threshold was worth, and where it went."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report(json.loads((DATA / "learner.json").read_text(encoding="utf-8")))
    return f"```\n{printed.getvalue().rstrip()}\n```"


PARTS = {
    "rank": lambda: f"{made_by('rank')}:\n\n{rank('rank', 'hakmem')}",
    "before": lambda: f"{made_by('before')}:\n\n{rank('before', 'hakmem', '--against', 'before')}",
    "purges": lambda: purges("before", "hakmem"),
    "targets": lambda: targets.table(DATA / "rank"),
    "reasons": lambda: reasons.table(DATA / "rank"),
    "learner": learner,
    "assembly": assembly,
}
