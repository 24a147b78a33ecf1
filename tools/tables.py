"""Tables of the documents, made from kept data: ``python -m tools.tables [--check]``.

A document holds ``<!-- table: NAME -->`` and ``<!-- end -->``; what lies between is written by the
function of that name in `TABLES`. `--check` writes nothing and exits 3 if a document differs.

``python -m tools.tables keep RUN NAME`` stores a run's records under docs/data/NAME without their
histograms, memory samples and lock lists, which no table reads; ``figures`` draws the README's
and the guide's.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace as replaced
from pathlib import Path

from msgspec.structs import replace

from allocator import library
from mtbench.__main__ import main as command
from mtbench.analysis.statistics import median
from mtbench.base.table import markdown_table, number
from mtbench.base.written import write_whole
from mtbench.commands.report import Report, load, print_tables
from mtbench.errors import Exit, MtbenchError
from mtbench.plan.plan import Cell
from mtbench.runs.directory import MANIFEST, TRIALS, RunDirectory
from mtbench.runs.record import Record, encoded
from mtbench.runs.result import Box, Counters, Lock
from plots import own_settings
from plots.drawings import catalogue
from plots.pages.export import save
from tools import reasons, targets
from tools.disassembly import fast_path
from tools.repository import DATA, DOCS, ROOT

DOCUMENTS = (ROOT / "README.md", DOCS / "performance.md")


def keep(run: Path, name: str) -> None:
    """Copies a run's manifest and its records, thinned, to docs/data/NAME. Raises MtbenchError."""
    records = RunDirectory.read(run).records()
    lines = [placeless(encoded(thinned(record)).decode()) for record in records]
    manifest = placeless((run / MANIFEST).read_text(encoding="utf-8"))
    target = DATA / name
    target.mkdir(parents=True, exist_ok=True)
    write_whole(target / MANIFEST, manifest)
    write_whole(target / TRIALS, "".join(lines))


def placeless(text: str) -> str:
    """Without the folders of one machine: of an absolute path, its last part; SHA-256 says which
    file. A relative path stays."""
    return re.sub(r"(?<![\w.])(?:/[\w.+@-]+)+/([\w.+@-]+)", r"\1", text)


def thinned(record: Record) -> Record:
    """A record without what takes most of its room: every number of a table stays."""
    result, stats = record.result, record.allocator_stats
    if result:
        memory = result.memory and replace(result.memory, samples=None)
        result = replace(result, latency=None, per_thread=None, memory=memory)
    kept = Counters()
    if stats and stats.locks:
        taken = sum(lock.acquisitions for lock in stats.locks)
        kept = replace(
            kept, locks=[Lock("all", taken, waited=sum(lock.waited for lock in stats.locks))]
        )
    purged = sum(box.purges for box in (stats and stats.boxes) or [])
    if purged:
        kept = replace(kept, boxes=[Box("all", purges=purged)])
    return replace(record, result=result, allocator_stats=None if kept == Counters() else kept)


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
    """The fast paths' listings and lengths, runtime flavour."""
    parts = []
    for function in ("malloc", "free"):
        path = fast_path(library(), function)
        # Addresses of globals move with every build; the instructions are what is promised.
        listing = re.sub(r"-?0x[0-9a-f]+\(%rip\)", "GLOBAL(%rip)", "\n".join(path.instructions))
        listing = re.sub(r"\b[0-9a-f]+ <(\w+)[^>]*>", r"\1", listing)
        parts.append(f"`{function}`, {len(path.instructions)} instructions:\n\n```\n{listing}\n```")
    return "\n\n".join(parts)


def terminal() -> str:
    """How a sweep ends on a terminal, of one workload of the kept rank run."""
    plan, results, run = load(DATA / "rank")
    chosen = replaced(run, workloads=(run.workload("mid_exchange"),))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_tables(Report(plan, results, chosen, Path()))
    lines = printed.getvalue().strip().splitlines()
    shown = "\n".join(textwrap.fill(line, 100) for line in lines)
    return f"```text\n{shown}\n```"


def learner() -> str:
    """What the learned threshold was worth, and where it went."""
    from tools.learner import report

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report(json.loads((DATA / "learner.json").read_text(encoding="utf-8")))
    return f"```\n{printed.getvalue().rstrip()}\n```"


TABLES = {
    "terminal": terminal,
    "rank": lambda: f"{made_by('rank')}:\n\n{rank('rank', 'hakmem')}",
    "before": lambda: f"{made_by('before')}:\n\n{rank('before', 'hakmem', '--against', 'before')}",
    "purges": lambda: purges("before", "hakmem"),
    "targets": lambda: targets.table(DATA / "rank"),
    "reasons": lambda: reasons.table(DATA / "rank"),
    "learner": learner,
    "assembly": assembly,
}


OF_THIS_MACHINE = ("assembly",)
"""Tables that another compiler would make differently: written, but not checked."""


Tables = Mapping[str, Callable[[], str]]


def filled(text: str, tables: Tables, but: tuple[str, ...] = ()) -> str:
    """The document with every table made anew, those in `but` left as they are."""

    def table(match: re.Match[str]) -> str:
        if match[2] in but:
            return match[0]
        return f"{match[1]}{tables[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", table, text, flags=re.DOTALL)


CHOSEN = {
    "rank": {
        "throughput-mid_exchange": "mid_exchange.png",
        "heatmap": "guide/heatmap.svg",
        "trials-mid_exchange": "guide/trials-mid_exchange.svg",
        "kernel-mid_exchange": "guide/kernel-mid_exchange.svg",
        "memory-mid_exchange": "guide/memory-mid_exchange.svg",
    },
    "ladder": {"ladder-mid_gap": "guide/ladder-mid_gap.svg"},
}
"""Kept run -> figure -> its file under docs/figures, for the README and the guide."""


def figures() -> None:
    """Draw those of CHOSEN, 220 mm wide."""
    with own_settings():
        for run, files in CHOSEN.items():
            for entry in catalogue.entries(load(DATA / run)[2]):
                if entry.name in files:
                    save(entry.draw(220 / 25.4), DOCS / "figures" / files[entry.name], dpi=110)


def main(arguments: list[str]) -> int:
    """See the module's text."""
    if arguments[:1] == ["keep"]:
        if len(arguments) != 3 or not re.fullmatch(r"[\w.-]*\w", arguments[2]):
            print("tables: keep needs a run directory and a name for it", file=sys.stderr)
            return Exit.USAGE
        try:
            keep(Path(arguments[1]), arguments[2])
        except MtbenchError as error:
            print(f"tables: {error}", file=sys.stderr)
            return int(error.code)
        return 0
    if arguments == ["figures"]:
        figures()
        return 0
    if arguments == ["--check"]:
        return check(DOCUMENTS, TABLES, "tools.tables", OF_THIS_MACHINE)
    for document in DOCUMENTS:
        old = document.read_text(encoding="utf-8")
        write_whole(document, filled(old, TABLES))
    return 0


def check(
    documents: tuple[Path, ...], tables: Tables, maker: str, but: tuple[str, ...] = ()
) -> int:
    """3, naming them, if documents are not what `maker` would make them; else 0."""
    texts = {document.name: document.read_text(encoding="utf-8") for document in documents}
    stale = [name for name, text in texts.items() if filled(text, tables, but) != text]
    if stale:
        print(f"{', '.join(stale)}: not what the data says; run python -m {maker}")
    return 3 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
