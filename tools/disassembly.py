"""Fast paths of malloc and free as the processor sees them: ``python -m tools.disassembly``.

A fast path is what runs from a function's first instruction to its first ``ret`` when no branch is
taken; the compiler lays the hot side of every branch there. Needs objdump (binutils).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import allocator

LIMIT = 26
"""Instructions a fast path may have on x86-64; gperftools' tcmalloc has about 35."""


class FastPath(NamedTuple):
    """A function's fast path: its instructions in order, `ret` included."""

    function: str
    instructions: tuple[str, ...]


def fast_path(library: Path, function: str) -> FastPath:
    """Disassembles `function` of a shared library up to its first ``ret``.

    Raises FileNotFoundError without objdump, ValueError if the library has no such function or it
    has no ``ret``.
    """
    command = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(library)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[str] = []
    for line in listing.splitlines():
        match = re.match(r"\s+[0-9a-f]+:\s+(.*?)\s*(#.*)?$", line)
        if match is None:
            continue
        found.append(re.sub(r"\s+", " ", match[1]))
        if re.match(r"(bnd |repz )?ret", found[-1]):
            return FastPath(function, tuple(found))
    raise ValueError(f"{library}: no function {function} with a ret")


def main() -> int:
    """Prints both flavours' fast paths; 3 if one has more than `LIMIT` instructions."""
    longest = 0
    for flavour in allocator.FLAVOURS:
        for function in ("malloc", "free"):
            path = fast_path(allocator.library(flavour), function)
            longest = max(longest, len(path.instructions))
            print(f"{flavour} {function}: {len(path.instructions)} instructions")
            for instruction in path.instructions:
                print(f"    {instruction}")
    return 3 if longest > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
