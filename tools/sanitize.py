"""Runs the C tests under sanitizers and Valgrind and keeps what happened in docs/data.

python -m tools.sanitize [asan] [tsan] [valgrind]

asan (with UBSan) and tsan are presets of CMakePresets.json, built with the compiler that CC names.
Under Valgrind runs each C test of the allocator once, in its default configuration, from the debug
preset; all but test-guard, which needs the libc's own malloc where Valgrind puts one, test-decay,
which looks at resident memory and would see Valgrind's, and test-sandbox, whose filters end a
process for system calls that Valgrind makes.
Runs are added to those that are kept; docs/reliability.md shows their sums.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.keep import load, store
from tools.repository import ROOT, Json

REPORT = re.compile(
    r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|ERROR SUMMARY: [1-9])"
)
MEMORY_ERROR = 99
VALGRIND = (
    "valgrind",
    f"--error-exitcode={MEMORY_ERROR}",
    "--quiet",
    "--fair-sched=yes",
    "--max-threads=4000",
    # What it would replace by its own is not under test: hakmem's functions have their own names.
    "--soname-synonyms=somalloc=nouserintercepts",
)
WITHOUT = {"hakmem.test-os": "looking_where_nothing_can_be_read_sees_nothing_and_does_not_fault"}
"""Test -> a promise that Valgrind would report: that a system call may be given any address."""
PATIENCE = 900.0


def tool(name: str) -> str:
    """A program beside this interpreter, or else on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


def compiler() -> str:
    """Name and version of the C compiler."""
    command = [os.environ.get("CC", "cc"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s*\(.*?\)", "", said.splitlines()[0])


def build(preset: str) -> None:
    """Configures and builds everything native."""
    ninja = shutil.which(tool("ninja"))
    make = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    subprocess.run([tool("cmake"), "--preset", preset, *make], cwd=ROOT, check=True, stdout=2)
    subprocess.run([tool("cmake"), "--build", "--preset", preset], cwd=ROOT, check=True, stdout=2)


def under_sanitizer(preset: str) -> Json:
    """All of CTest."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "ctest.xml"
        command = [tool("ctest"), "--preset", preset, "-j", str(os.cpu_count())]
        subprocess.run([*command, "--output-junit", result], cwd=ROOT, check=False, stdout=2)
        suite = ElementTree.parse(result).getroot()
    cases = suite.findall("testcase")
    said = "".join(case.findtext("system-out") or "" for case in cases)
    return {
        "tests": len(cases),
        "failed": sum(case.get("status") != "run" for case in cases),
        "reports": len(REPORT.findall(said)),
        "seconds": round(sum(float(case.get("time") or 0) for case in cases), 1),
    }


def under_valgrind(preset: str) -> Json:
    """Each C test of the allocator in its default configuration."""
    listing = subprocess.run(
        [tool("ctest"), "--preset", preset, "--show-only=json-v1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tests = json.loads(listing.stdout)["tests"]
    served = r"hakmem\.test-(?!guard|decay|sandbox)\w+"
    chosen = [test for test in tests if re.fullmatch(served, test["name"])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = list(pool.map(memcheck, chosen))
    return {
        "tests": len(codes),
        "failed": sum(code != 0 for code, _ in codes),
        "reports": sum(code == MEMORY_ERROR for code, _ in codes),
        "seconds": round(sum(seconds for _, seconds in codes), 1),
    }


def memcheck(test: Json) -> tuple[int, float]:
    """(exit code, seconds) of one test; what it said on stderr where that is not 0."""
    began = time.monotonic()
    try:
        command = [*VALGRIND, *test["command"]]
        left_out = {"CHECK_WITHOUT": WITHOUT[test["name"]]} if test["name"] in WITHOUT else {}
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | left_out,
        )
        code, said = done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        code, said = -1, f"no end within {PATIENCE:g} s"
    if code != 0:
        print(f"{test['name']}: exit code {code}", said[-2000:], sep="\n", file=sys.stderr)
    return code, time.monotonic() - began


def main(wanted: list[str]) -> int:
    """The command; exit code 1 if anything was reported or failed, 2 for an unknown tool."""
    runs = {
        "asan": ("ASan + UBSan", "asan", under_sanitizer),
        "tsan": ("TSan", "tsan", under_sanitizer),
        "valgrind": ("Valgrind memcheck", "debug", under_valgrind),
    }
    unknown = [name for name in wanted if name not in runs]
    if unknown:
        print(f"{unknown[0]}: not one of {', '.join(runs)}", file=sys.stderr)
        return 2
    clean = True
    for name in wanted or list(runs):
        title, preset, run = runs[name]
        build(preset)
        row = {"tool": title, "compiler": compiler(), **run(preset)}
        print(json.dumps(row))
        clean &= row["failed"] == 0 and row["reports"] == 0
        kept = load("sanitizers.json")
        store(
            "sanitizers.json",
            {"schema": 1, "kind": "mtbench-sanitizers", "rows": [*kept["rows"], row]},
        )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
