"""What the default mode's look for a double free costs: free with the comparison and without it.

python -m tools.misuse_cost [ROUNDS]

Builds hakmem twice, once with the comparison taken out of a copy of its sources, counts the
instructions of both fast paths, and runs both by turns on one thread that does nothing but allocate
and free. The result goes to docs/data; docs/reliability.md shows it. For a quiet machine.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from mtbench.runs.directory import RunDirectory
from tools.disassembly import fast_path
from tools.keep import store
from tools.repository import ROOT

HOME = ROOT / "allocator"
COMPARISON = " && likely(head != block)"
WORKLOADS = ("mid_gap", "random_mixed")


def build(folder: Path, comparison: str) -> Path:
    """libhakmem.so, optimized as it is installed, with this text in place of the comparison."""
    shutil.copytree(HOME / "src", folder / "src")
    header = folder / "src" / "stores" / "bins.h"
    text = header.read_text()
    if text.count(COMPARISON) != 1:
        raise SystemExit(f"{header.name}: the comparison is not where it was")
    header.write_text(text.replace(COMPARISON, comparison))
    names = ("HAKMEM_SOURCE_HASH", "HAKMEM_BUILD_FLAGS")
    (folder / "hakmem_build.h").write_text("".join(f'#define {name} ""\n' for name in names))
    flags = ["-std=gnu11", "-O3", "-DNDEBUG", "-fPIC", "-shared", "-pthread", "-mprfchw"]
    flags += [f"-fno-builtin-{name}" for name in ("malloc", "calloc", "realloc", "free")]
    flags += ["-fvisibility=hidden", "-fno-semantic-interposition"]
    flags += [f"-I{folder}", f"-I{HOME / 'include'}", f"-I{folder / 'src'}"]
    sources = map(str, sorted((folder / "src").rglob("*.c")))
    library = folder / "libhakmem.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *flags, *sources, "-o", str(library), "-ldl"], check=True)
    return library


def rates(libraries: dict[str, Path], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Operations per second of each, by round and workload."""
    named = ",".join(f"{name}={path}" for name, path in libraries.items())
    command = [sys.executable, "-m", "mtbench", "sweep", "-a", named, "-w", ",".join(WORKLOADS)]
    command += ["-t", "1", "-n", str(rounds), "--duration", "0.2", "--warmup", "0.05"]
    command += ["--no-progress", "-q", "-o", str(folder / "run")]
    subprocess.run(command, check=True, stdout=2)
    found: dict[str, dict[tuple[int, str], float]] = {name: {} for name in libraries}
    for trial in RunDirectory.read(folder / "run").records():
        if result := trial.good:
            place = (trial.block, trial.workload)
            found[trial.allocator][place] = result.operations / result.elapsed_s
    places = sorted(found["with"].keys() & found["without"].keys())
    return {name: [by_place[place] for place in places] for name, by_place in found.items()}


def main(arguments: list[str]) -> int:
    """The command."""
    rounds = int(arguments[0]) if arguments else 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        libraries = {
            "with": build(folder / "with", COMPARISON),
            "without": build(folder / "without", ""),
        }
        lengths = {k: len(fast_path(v, "free").instructions) for k, v in libraries.items()}
        measured = rates(libraries, rounds, folder)
    ratios = sorted(a / b for a, b in zip(measured["with"], measured["without"], strict=True))
    quarter = len(ratios) // 4
    document = {
        "schema": 1,
        "kind": "mtbench-misuse-cost",
        "instructions": lengths,
        "workloads": list(WORKLOADS),
        "pairs": len(ratios),
        "ratio": {
            "median": median(ratios),
            "low": ratios[quarter],
            "high": ratios[-1 - quarter],
        },
    }
    store("misuse-cost.json", document)
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
