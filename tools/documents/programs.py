"""Tables of docs/programs.md, and the summary of the guide: the catalogue from the code, the rest
from the run that `make programs` kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

from mtbench.analysis import suite
from mtbench.base.table import bytes_, ratio
from mtbench.commands.report import load
from mtbench.programs.entry import STDOUT, Entry
from mtbench.programs.named import CATALOGUE
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Manifest
from plots.data import Failure, Finding, Program, ProgramCell, Run, SuiteRow
from plots.drawings import catalogue as drawings
from plots.numbers import ABSENT, compact, digits, part
from plots.pages.export import save
from plots.pages.markdown import escaped
from plots.pages.table import markdown_table
from tools.repository import DATA, DOCS

KEPT = DATA / "programs"
FIGURES = {"suite": "programs-frontier.svg", "suite-cells": "programs-cells.svg"}
"""Figure of the kept run -> its file under docs/figures."""
CLEAREST = 10
"""Programs under a malloc of which the page says a sentence; its tables have all."""


@lru_cache(maxsize=1)
def _run() -> Run:
    """What the kept run found. Raises MtbenchError."""
    return load(KEPT)[2]


@lru_cache(maxsize=1)
def _manifest() -> Manifest:
    return RunDirectory.read(KEPT).manifest


def draw() -> None:
    """The figures of the page, 220 mm wide."""
    for entry in drawings.entries(_run()):
        if entry.present and entry.name in FIGURES:
            save(entry.draw(220 / 25.4), DOCS / "figures" / FIGURES[entry.name])


def catalogue() -> str:
    """A row per program: what it stands for, what brings it, and how its work is proven."""
    rows = [
        [
            f"`{entry.name}`",
            entry.stands_for,
            " ".join(entry.packages),
            "`-t`" if entry.program().threaded else "its own",
            entry.program().numbers[0].name if entry.metric else "wall time",
            _proof(entry),
        ]
        for entry in CATALOGUE.values()
    ]
    header = ["program", "stands for", "packages", "threads", "compared by", "the same every time"]
    return markdown_table(header, rows, align="l")


def _proof(entry: Entry) -> str:
    if entry.check == STDOUT:
        return "its output"
    return f"what `{entry.check}` writes".replace("|", r"\|") if entry.check else "its exit code"


def measured() -> str:
    """The command, the machine, and every version."""
    run, manifest = _run(), _manifest()
    libc = manifest.fingerprint.get("libc", "")
    mallocs = ", ".join(
        f"{entry.label} {entry.version or '(no version told)'}" for entry in manifest.allocators
    )
    wanted = [name for each in run.workloads for name in _packages(each.name)]
    versions = {name: manifest.packages.get(name, "") for name in sorted(wanted)}
    brought = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    lines = [
        f"Measured by `{manifest.command}` on {manifest.machine}, {libc}; "
        f"{manifest.created[:10]}, {manifest.plan.trials} rounds in random order.",
        f"Mallocs: {mallocs}.",
    ]
    if brought:
        lines.append(f"Packages: {brought}.")
    warnings = [f"{fact.name} ({fact.found})" for fact in run.facts if fact.severity == "warning"]
    if warnings:
        lines.append(f"What spoils numbers on that machine: {'; '.join(warnings)}.")
    return "\n\n".join(lines)


def _packages(name: str) -> tuple[str, ...]:
    return CATALOGUE[name].packages if name in CATALOGUE else ()


def summary() -> str:
    """The suite's sentences as a list."""
    run = _run()
    return _listed(suite.findings(run.suite, run.programs, run.baseline))


def clearest() -> str:
    """The programs in which a malloc makes the clearest difference."""
    run = _run()
    of_all = suite.findings(run.suite, run.programs, run.baseline)
    told = [entry for entry in run.findings if entry not in of_all and entry.tone != "neutral"]
    chosen = [entry for entry in told if entry.evidence.endswith(" x")]
    return _listed(chosen[:CLEAREST]) or "No difference was seen in any of them."


def _listed(findings: list[Finding]) -> str:
    lines = []
    for entry in findings:
        evidence = f" ({entry.evidence})" if entry.evidence else ""
        lines.append(f"- {entry.text}{evidence}")
    return "\n".join(lines)


def ranking() -> str:
    """A row per malloc, the fastest first."""
    run = _run()
    rows = []
    for row in sorted(run.suite, key=lambda row: row.measure(suite.LEADING).value):
        cells = [cell for each in run.programs if (cell := each.cell(row.allocator))]
        rows.append(
            [
                row.allocator,
                *(_mean(run, row, key) for key in (suite.LEADING, *suite.MEASURES)),
                str(sum(cell.verdict == "better" for cell in cells)),
                str(sum(cell.verdict == "worse" for cell in cells)),
            ]
        )
    base = run.baseline
    header = ["malloc", f"time / {base}", "wall time", "CPU time", "peak memory", "better", "worse"]
    return markdown_table(header, rows)


def _mean(run: Run, row: SuiteRow, key: str) -> str:
    return "1" if row.allocator == run.baseline else ratio(row.measure(key))


def times() -> str:
    """Program by malloc: what it asks of its malloc, and what it is compared by, as a time."""
    return _cells("its own", _asked)


def memory() -> str:
    """Program by malloc: peak memory."""
    return _cells("rss_peak")


def _asked(program: Program) -> dict[str, str]:
    """Of a run that was kept before programs were counted, and of further numbers of threads,
    nothing is known."""
    tally = program.tally
    return {
        "calls per second": compact(tally.calls_per_s) if tally else ABSENT,
        "in malloc": part(tally.share) if tally else ABSENT,
    }


def _cells(key: str, more: Callable[[Program], dict[str, str]] = lambda _: {}) -> str:
    """more: columns between the program's name and the mallocs', the same of every program."""
    run = _run()
    others = [entry.label for entry in run.allocators if entry.label != run.baseline]
    rows = []
    for program in run.programs:
        base = program.cell(run.baseline)
        rows.append(
            [
                program.name,
                *more(program).values(),
                _absolute(program, base, key) if base else ABSENT,
                *(_over(program, program.cell(label), key) for label in others),
            ]
        )
    columns = more(run.programs[0]) if run.programs else {}
    header = ["program", *columns, run.baseline, *(f"{label} /" for label in others)]
    return markdown_table(header, rows)


def _absolute(program: Program, cell: ProgramCell, key: str) -> str:
    if key == "rss_peak":
        return bytes_(cell.measure(key).value)
    found = cell.measure(program.leading.key).value
    return (
        f"{digits(found)} s"
        if program.leading.key == "wall_s"
        else (f"{digits(found)} {program.leading.label}")
    )


def _over(program: Program, cell: ProgramCell | None, key: str) -> str:
    """A ratio below 1 where less was used; bold where the verdict is sure."""
    if cell is None:
        return ABSENT
    if not cell.trials:
        return "failed"
    leading = program.leading
    found = cell.ratio(key if key == "rss_peak" else leading.key)
    if key != "rss_peak":
        if leading.better == "higher":
            found = found.inverted()
        text = ratio(found)
        return f"**{text}**" if cell.verdict in ("better", "worse") else text.replace("-", ABSENT)
    return f"{found.value:.2f}" if found.present else ABSENT


def left_out() -> str:
    """Programs of the catalogue without numbers, and runs that gave none; why."""
    return "\n".join(f"- {line}" for line in _gaps()) or "Nothing."


def _gaps() -> Iterator[str]:
    run, manifest = _run(), _manifest()
    ran = {each.name for each in manifest.programs}
    for name, why in manifest.left_out.items():
        yield f"`{name}`: {escaped(why)}."
    if others := [name for name in CATALOGUE if name not in ran | set(manifest.left_out)]:
        yield f"Not asked for: {', '.join(f'`{name}`' for name in others)}."
    failed: dict[tuple[str, str], list[Failure]] = {}
    for each in run.failures:
        failed.setdefault((each.workload, each.status), []).append(each)
    for (name, status), these in failed.items():
        counts = Counter(each.allocator for each in these)
        whom = ", ".join(f"{count} × {label}" for label, count in counts.items())
        reason = f", the first: {escaped(these[0].reason)}" if these[0].reason else ""
        yield f"Runs of `{name}` that gave no number ({whom}): {status}{reason}."
    for text in run.suite[0].without if run.suite else ():
        yield f"Not in the means, as a number is missing: {text}."


PARTS = {
    "catalogue": catalogue,
    "measured": measured,
    "summary": summary,
    "ranking": ranking,
    "clearest": clearest,
    "times": times,
    "memory": memory,
    "left_out": left_out,
}
