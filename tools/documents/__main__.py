"""Makes what the documents hold that is made from data or code, or says where it is stale.

python -m tools.documents [NAME...]          make the parts and the figures of these documents
python -m tools.documents --check [NAME...]  write nothing; exit 3, naming them, if any is stale

A NAME is a document's path in the repository; none stands for all. A figure is not checked: other
versions of the drawing library draw it otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from mtbench.base.written import write_whole
from mtbench.errors import Exit, MtbenchError, UsageError
from study import render
from study.command import COMMITTED
from tools.documents import (
    figures,
    measurement,
    performance,
    programs,
    record,
    reference,
    reliability,
    workload_figures,
    workloads,
)
from tools.documents.marks import filled
from tools.repository import ROOT


def with_parts(**parts: Callable[[], str]) -> Callable[[str], str]:
    """From a document as it is to the same with its parts made anew."""
    return partial(filled, parts=parts)


DOCUMENTS: dict[str, Callable[[str], str]] = {
    "README.md": with_parts(
        terminal=performance.terminal, answer=partial(render.answer, COMMITTED)
    ),
    "docs/guide/choose.md": with_parts(survey=performance.survey),
    "docs/guide/program.md": with_parts(programs=programs.summary),
    "docs/measurement.md": with_parts(**measurement.PARTS),
    "docs/performance.md": with_parts(**performance.PARTS),
    "docs/programs.md": with_parts(**programs.PARTS),
    "docs/record.md": with_parts(record=record.table),
    "docs/reference/allocator.md": with_parts(allocator=partial(reference.names, "allocator")),
    "docs/reference/mtbench.md": with_parts(
        mtbench=partial(reference.names, "mtbench.api", ("sweep", "load", "Sweep")),
        errors=partial(reference.names, "mtbench.errors", ("MtbenchError", "UsageError", "Exit")),
    ),
    "docs/reference/plots.md": with_parts(
        plots=partial(reference.names, "plots"), data=partial(reference.names, "plots.data")
    ),
    "docs/reference/workloads.md": with_parts(workloads=partial(reference.names, "workloads")),
    "docs/reliability.md": with_parts(**reliability.PARTS),
    "docs/study.md": lambda _: render.page(COMMITTED),
    "docs/workloads.md": with_parts(**workloads.PARTS),
}
"""Every derived document, and what makes of the old text the one that data and code have now."""

FIGURES: dict[str, Callable[[], None]] = {
    "README.md": figures.draw,
    "docs/programs.md": programs.draw,
    "docs/study.md": partial(render.draw, COMMITTED),
    "docs/workloads.md": workload_figures.draw,
}
"""Of a document, what draws its figures; the README's include the guide's."""


def main(arguments: list[str]) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.documents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a document (default all)")
    parser.add_argument("--check", action="store_true", help="say what is stale, write nothing")
    chosen = parser.parse_args(arguments)
    try:
        return made(chosen.names or list(DOCUMENTS), check=chosen.check)
    except MtbenchError as error:
        print(f"documents: {error}", file=sys.stderr)
        return int(error.code)


def made(names: list[str], *, check: bool) -> int:
    """Makes these documents, or only looks; returns the exit code. Raises UsageError."""
    for name in names:
        if name not in DOCUMENTS:
            raise UsageError(f"{name}: no document; accepted: {', '.join(DOCUMENTS)}")
    stale = []
    for name in names:
        file = ROOT / name
        old = file.read_text(encoding="utf-8")
        new = DOCUMENTS[name](old)
        if check:
            stale += [name] if new != old else []
            continue
        write_whole(file, new)
        if name in FIGURES:
            FIGURES[name]()
    if stale:
        print(f"stale: {', '.join(stale)}; run make docs", file=sys.stderr)
    return Exit.GATE if stale else Exit.FINE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
