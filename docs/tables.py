"""Tables of the documents, made from kept data: ``python docs/tables.py [--check]``.

A document holds ``<!-- table: NAME -->`` and ``<!-- end -->``; what lies between is written by the
function of that name below. `--check` writes nothing and exits 3 if a document differs.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

from allocator.disassembly import fast_path
from mtbench.__main__ import main as mtbench

import allocator

DOCS = Path(__file__).resolve().parent
DOCUMENTS = (DOCS.parent / "README.md", DOCS / "performance.md")
RANK = DOCS / "data" / "rank"
PGO = DOCS / "data" / "pgo"
FLAVOURS = DOCS / "data" / "flavours"
LADDER = DOCS / "data" / "ladder"


def ranked(run: Path, of: str, *more: str) -> str:
    """`mtbench rank RUN --of NAME --markdown`, as it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        mtbench(["rank", str(run), "--of", of, "--markdown", *more])
    return printed.getvalue().strip()
