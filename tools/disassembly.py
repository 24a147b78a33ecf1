"""Fast paths of malloc and free as the processor sees them: ``python -m tools.disassembly``.

With ``--keep`` their listings go to docs/data, from where docs/performance.md has them: another
compiler would make others.

A fast path is what runs from a function's first instruction to its first ``ret`` when no branch is
taken; the compiler lays the hot side of every branch there. Needs objdump (binutils).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from allocator import FLAVOURS, library
from mtbench.base.written import write_whole
from tools.repository import DATA

LIMIT = 26
"""Instructions a fast path may have on x86-64; gperftools' tcmalloc has about 35."""


class FastPath(NamedTuple):
    """A function's fast path: its instructions in order, `ret` included."""

    function: str
    instructions: tuple[str, ...]


def fast_path(file: Path, function: str) -> FastPath:
    """Disassembles `function` of a shared library up to its first ``ret``.

    Raises FileNotFoundError without objdump, ValueError if the library has no such function or it
    has no ``ret``.
    """
    command = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(file)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[str] = []
    for line in listing.splitlines():
        match = re.match(r"\s+[0-9a-f]+:\s+(.*?)\s*(#.*)?$", line)
        if match is None:
            continue
        found.append(re.sub(r"\s+", " ", match[1]))
        if re.match(r"(bnd |repz )?ret", found[-1]):
            return FastPath(function, tuple(found))
    raise ValueError(f"{file}: no function {function} with a ret")


def keep() -> None:
    """Keeps both fast paths of the default flavour, without addresses that each build moves."""
    listings = {}
    for function in ("malloc", "free"):
        text = "\n".join(fast_path(library(), function).instructions)
        text = re.sub(r"-?0x[0-9a-f]+\(%rip\)", "GLOBAL(%rip)", text)
        listings[function] = re.sub(r"\b[0-9a-f]+ <(\w+)[^>]*>", r"\1", text).splitlines()
    write_whole(DATA / "fast-paths.json", json.dumps(listings, indent=1) + "\n")


def main(arguments: list[str]) -> int:
    """Prints both flavours' fast paths; 3 if one has more than `LIMIT` instructions."""
    if arguments == ["--keep"]:
        keep()
    longest = 0
    for flavour in FLAVOURS:
        for function in ("malloc", "free"):
            path = fast_path(library(flavour), function)
            longest = max(longest, len(path.instructions))
            print(f"{flavour} {function}: {len(path.instructions)} instructions")
            for instruction in path.instructions:
                print(f"    {instruction}")
    return 3 if longest > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
