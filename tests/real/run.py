"""Runs real programs under a preloaded malloc and compares what they put out.

    python -m tests.real.run [--quick] [--install] [--only REGEX] [--json] [ALLOCATOR ...]

Each program runs once on the system's malloc and once on each named one (default: hakmem). A row is
`equal`, `differs`, `fails` or `skipped`, with the reason. That the library was mapped is proved for
every process: the dynamic linker writes a record of what it loads in each.

Exit codes: 0 all equal or skipped, 2 wrong usage, 3 a program differed or failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mtbench.errors import MtbenchError
from mtbench.mallocs.allocators import Allocator, resolve_all, worker_environment
from tests.real import programs as p
from tests.real import servers as s
from tests.real import tools as t

CATALOGUE = [
    p.Program("cpython-data", p.cpython(["test_json", "test_dict", "test_list"]), quick=True),
    p.Program("cpython-threads", p.cpython(["test_threading", "test_thread"])),
    p.Program(
        "cpython-processes",
        p.cpython(["test_subprocess", "test_multiprocessing_fork", "test_sqlite3"]),
    ),
    p.Program("git", p.git, ("git",), quick=True),
    p.Program("gcc", p.gcc, ("gcc",), quick=True),
    p.Program("make", p.make, ("make", "gcc"), quick=True),
    p.Program("sort", p.sort, ("coreutils",), quick=True),
    p.Program("tar", p.tar, ("tar",), quick=True),
    p.Program("xz", p.xz, ("xz-utils",), quick=True),
    p.Program("sqlite3", p.sqlite, ("sqlite3",), quick=True),
    p.Program("perl", p.perl, ("perl",), quick=True),
    p.Program("node", p.node, ("nodejs",)),
    p.Program("java", p.java, ("default-jdk-headless",)),
    p.Program("imagemagick", p.magick, ("imagemagick",)),
    p.Program("ffmpeg", p.ffmpeg, ("ffmpeg",)),
    p.Program("php", t.php, ("php-cli", "php-mbstring", "php-xml"), quick=True),
    p.Program("gcore", t.gcore, ("gdb", "util-linux"), quick=True),
    p.Program("faketime", t.faketime, ("libfaketime",), quick=True),
    p.Program("qemu", t.qemu, ("qemu-user", "coreutils"), quick=True),
    p.Program("python-limits", t.python_limits, quick=True),
    p.Program("vsftpd", s.vsftpd, ("vsftpd",), quick=True),
    p.Program("redis", s.redis, ("redis-server", "redis-tools")),
    p.Program("nginx", s.nginx, ("nginx-light",)),
    p.Program("postgresql", s.postgres, ("postgresql",)),
]


@dataclass(frozen=True)
class Row:
    """One program under one malloc: equal, differs, fails or skipped; processes mapped in."""

    program: str
    allocator: str
    result: str
    reason: str
    processes: int


def run_once(program: p.Program, allocator: Allocator, *, quick: bool) -> tuple[str, int]:
    """(what it put out, number of processes the library was mapped in)."""
    with tempfile.TemporaryDirectory(prefix="mtbench-real-") as name:
        folder, records = Path(name) / "work", Path(name) / "loaded"
        folder.mkdir()
        records.mkdir()
        Path(name).chmod(0o755)
        records.chmod(0o777)
        environment = worker_environment(allocator) | {
            "LC_ALL": "C",
            "LD_DEBUG": "files",
            "LD_DEBUG_OUTPUT": str(records / "process"),
        }
        out = program.run(folder, environment, quick=quick)
        if allocator.path is None:
            return out, 0
        mark = f"file={allocator.path} [0];  generating link map".encode()
        return out, sum(mark in record.read_bytes() for record in records.iterdir())


def compare(program: p.Program, allocators: Sequence[Allocator], *, quick: bool) -> list[Row]:
    """A row for each malloc; all skipped when the program cannot run on the system's."""
    system = Allocator("system", "system", None)
    try:
        expected, _ = run_once(program, system, quick=quick)
    except p.UnavailableError as error:
        return [Row(program.name, a.label, "skipped", str(error), 0) for a in allocators]
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        reason = f"fails on the system's malloc too: {error}"
        return [Row(program.name, a.label, "skipped", reason, 0) for a in allocators]
    rows = []
    for allocator in allocators:
        try:
            found, processes = run_once(program, allocator, quick=quick)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            rows.append(Row(program.name, allocator.label, "fails", str(error), 0))
            continue
        if processes == 0:
            rows.append(Row(program.name, allocator.label, "fails", "library not mapped", 0))
        elif found != expected:
            rows.append(Row(program.name, allocator.label, "differs", "output", processes))
        else:
            rows.append(Row(program.name, allocator.label, "equal", "", processes))
    return rows


def install(chosen: Sequence[p.Program]) -> None:
    """Installs what the chosen programs need, by apt-get."""
    packages = sorted({package for program in chosen for package in program.packages})
    if shutil.which("apt-get") is None:
        raise MtbenchError(
            "--install: only apt-get is known; install by hand: " + " ".join(packages)
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode != 0:
        raise MtbenchError(f"--install: {' '.join(command)} failed")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description="real programs under a preloaded malloc")
    parser.add_argument("allocators", nargs="*", default=["hakmem"])
    parser.add_argument("--quick", action="store_true", help="the quick part, small inputs")
    parser.add_argument("--install", action="store_true", help="install missing programs (apt)")
    parser.add_argument("--only", metavar="REGEX", default="", help="programs whose name matches")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    try:
        allocators = [a for a in resolve_all(options.allocators) if a.path is not None]
        chosen = [
            program
            for program in CATALOGUE
            if re.search(options.only, program.name) and (program.quick or not options.quick)
        ]
        if options.install:
            install(chosen)
    except (MtbenchError, re.error) as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for program in chosen:
        for row in compare(program, allocators, quick=options.quick):
            rows.append(row)
            if not options.json:
                mapped = f"mapped in {row.processes} processes" if row.processes else row.reason
                print(f"{row.program:18} {row.allocator:14} {row.result:8} {mapped}", flush=True)
    if options.json:
        document = {
            "schema": 1,
            "kind": "mtbench-real",
            "quick": options.quick,
            "rows": [asdict(row) for row in rows],
        }
        print(json.dumps(document, indent=1))
    return 3 if any(row.result in ("differs", "fails") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
