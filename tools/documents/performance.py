"""Tables of docs/performance.md from the kept runs, and the README's terminal."""

from __future__ import annotations

import contextlib
import io
import json
import textwrap
from dataclasses import replace
from pathlib import Path

from mtbench.__main__ import main as command
from mtbench.analysis.statistics import median
from mtbench.base.table import markdown_table, number
from mtbench.commands.report import Report, load, print_tables
from mtbench.plan.plan import Cell
from mtbench.runs.directory import RunDirectory
from mtbench.runs.result import Counters
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


def terminal() -> str:
    """How a sweep ends on a terminal, of one workload of the kept rank run."""
    plan, results, run = load(DATA / "rank")
    chosen = replace(run, workloads=(run.workload("mid_exchange"),))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_tables(Report(plan, results, chosen, Path()))
    lines = printed.getvalue().strip().splitlines()
    shown = "\n".join(textwrap.fill(line, 100) for line in lines)
    return f"```text\n{shown}\n```"


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
