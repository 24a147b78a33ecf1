"""The report as Markdown for a pull request comment: findings, one table per workload, failures."""

from __future__ import annotations

from collections.abc import Sequence

from plots import style
from plots.data import Estimate, Program, Run
from plots.drawings import catalogue, hosts
from plots.numbers import digits, tallied
from plots.numbers import threads as thread_count
from plots.pages import rows
from plots.pages.sparkline import sparkline
from plots.pages.table import markdown_table

MARKS = {"good": "▲", "bad": "▼", "neutral": "•"}
_MOST = 12
"""Findings of several programs that are told; there is one for each of them and each allocator."""


def markdown(runs: Run | Sequence[Run]) -> str:
    """Return GitHub-flavoured Markdown; several runs follow each other, never averaged. Raises
    ValueError for no run."""
    several = [runs] if isinstance(runs, Run) else list(runs)
    if not several:
        raise ValueError("no run to report")
    names = hosts.names(several)
    return "\n".join(_one(run, name) for run, name in zip(several, names, strict=True))


def _one(run: Run, name: str) -> str:
    lines = [f"## {escaped(run.title)}: {escaped(name)}", ""]
    lines += [f"{run.cores} usable cores · {run.created} · seed {run.seed}", ""]
    shown = run.findings[: _MOST if run.suite else None]
    for finding in shown:
        evidence = f" ({escaped(finding.evidence)})" if finding.evidence else ""
        lines.append(f"- {MARKS[finding.tone]} {escaped(finding.text)}{evidence}")
    if len(shown) < len(run.findings):
        lines.append(f"- and {len(run.findings) - len(shown)} more in the report")
    if not run.complete:
        lines += ["", "**Not complete:** some planned cells have no number."]
    first = catalogue.main_workload(run)
    lines += _suite_table(run) if run.suite else []
    for program in run.programs:
        lines += _program_table(run, program)
    for info in sorted(run.workloads, key=lambda info: info.name != first):
        if run.programs:
            break
        lines += ["", *_table(run, info.name, info.unit, folded=info.name != first)]
    groups = rows.failures(run)
    if groups:
        lines += ["", f"**{len(run.failures)} failed trials**", ""]
        for group in groups:
            what = " ".join(part for part in (group.status, group.signal, group.reason) if part)
            where = (
                f"{style.short(group.allocator)}, {group.workload}, {thread_count(group.threads)}"
            )
            lines.append(f"- {escaped(where)}: {group.trials} × {escaped(what)}")
    warnings = [fact for fact in run.facts if fact.severity == "warning"]
    if warnings:
        lines += ["", "**Machine warnings:** " + "; ".join(
            escaped(f"{fact.name} ({fact.harm})" if fact.harm else fact.name) for fact in warnings
        )]  # fmt: skip
    lines += ["", "```sh", run.command, "```", ""]
    return "\n".join(lines)


def _suite_table(run: Run) -> list[str]:
    keys = {"leading": "time", "cpu_s": "CPU time", "rss_peak": "peak memory"}
    lines = [
        [style.short(row.allocator), *(_bounded(row.measure(key)) for key in keys)]
        for row in run.suite
    ]
    base = style.short(run.baseline)
    header = ["allocator", *(f"{name} / {base}" for name in keys.values())]
    count = f"{run.suite[0].programs} programs, geometric means:"
    return ["", count, "", markdown_table(header, [list(map(escaped, line)) for line in lines])]


def _bounded(found: Estimate) -> str:
    if not found.bounded:
        return digits(found.value)
    return f"{digits(found.value)} [{digits(found.low)}, {digits(found.high)}]"


def _program_table(run: Run, program: Program) -> list[str]:
    columns = rows.program_columns(run, program)
    lines = [
        (style.short(cell.allocator), *(f"{value.text} {value.more}".strip() for value in values))
        for cell, values in rows.program_rows(run, program)
    ]
    table = markdown_table(
        [escaped(column.heading) for column in columns],
        [list(map(escaped, line)) for line in lines],
        align="".join("r" if column.number else "l" for column in columns),
    )
    name = [f"### {escaped(program.name)}", ""] if len(run.programs) > 1 else []
    told = ["", escaped(tallied(program.tally))] if program.tally else []
    return ["", *name, f"`{program.command}`", "", table, *told]


def _table(run: Run, workload: str, unit: str, *, folded: bool) -> list[str]:
    lines = []
    for allocator in run.allocators:
        cells = {cell.threads: cell for cell in run.curve(allocator.label, workload)}
        texts, values = [], []
        for n in run.threads:
            value = rows.throughput(cells.get(n))
            texts.append(value.text)
            values.append(cells[n].throughput.value if n in cells else float("nan"))
        lines.append([escaped(style.short(allocator.label)), *texts, sparkline(values)])
    table = markdown_table(
        ["allocator", *(f"{n}" for n in run.threads), "scaling"],
        lines,
        align=f"l{'r' * len(run.threads)}l",
    )
    title = f"{workload}: {unit} per second by threads, median"
    if not folded:
        return [f"**{escaped(title)}**", "", table]
    return ["<details><summary>" + escaped(title) + "</summary>", "", table, "", "</details>"]


def escaped(text: str) -> str:
    """Return the text so that Markdown tables and HTML show it as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_|[]":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
