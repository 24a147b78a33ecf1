"""Takes what was measured into docs/data, thinned and without the folders of one machine.

python -m tools.keep run RUN NAME     a run's manifest and records, into docs/data/NAME
python -m tools.keep results FILE...  what `mtbench verify --json`, or tests.real.run, printed
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mtbench.base.written import write_whole
from mtbench.errors import MtbenchError, UsageError
from mtbench.programs.named import CATALOGUE
from mtbench.runs.directory import MANIFEST, TRIALS, RunDirectory
from mtbench.runs.record import Record, encoded
from mtbench.runs.result import Box, Counters, Lock
from tools.repository import DATA, Json

FULL = "verify-full.json"
"""Results of full forms: of the refused calls, whose quick form leaves some of the 200 out."""
KINDS = {"mtbench-verify": "verify.json", "mtbench-real": "real.json"}


def keep(run: Path, name: str) -> None:
    """Copies a run's manifest and its records, thinned, to docs/data/NAME. Raises MtbenchError."""
    found = RunDirectory.read(run)
    lines = [placeless(encoded(thinned(record)).decode()) for record in found.records()]
    manifest = (run / MANIFEST).read_text(encoding="utf-8")
    if versions := packages([task.name for task in found.manifest.programs]):
        told = json.loads(manifest)
        manifest = json.dumps(told | {"packages": told["packages"] | versions}, indent=1) + "\n"
    manifest = placeless(manifest)
    target = DATA / name
    target.mkdir(parents=True, exist_ok=True)
    write_whole(target / MANIFEST, manifest)
    write_whole(target / TRIALS, "".join(lines))


def packages(programs: Sequence[str]) -> dict[str, str]:
    """The versions here of what brings these programs of the catalogue: package -> version, of
    those that the system's package manager knows."""
    wanted = [name for each in programs if each in CATALOGUE for name in CATALOGUE[each].packages]
    if not wanted or shutil.which("dpkg-query") is None:
        return {}
    asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *wanted]
    done = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    pairs = (line.split() for line in done.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


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


def machine() -> Json:
    """What a reader needs to judge the results."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "unknown libc"
    return {
        "kernel": platform.release(),
        "libc": libc,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }


def shortened(value: Any) -> Any:
    """Paths of libraries and programs cut to their file names: they say where, not what."""
    if isinstance(value, dict):
        return {k: shortened(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shortened(v) for v in value]
    if isinstance(value, str) and "/" in value:
        return " ".join(
            word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in value.split(" ")
        )
    return value


def store(name: str, document: Json) -> None:
    """One result file, with the machine it was made on."""
    DATA.mkdir(exist_ok=True)
    text = json.dumps(shortened(document) | {"machine": machine()}, ensure_ascii=False)
    write_whole(DATA / name, text + "\n")


def merged(old: Json | None, new: Json) -> Json:
    """The old results with the new verdicts in place of theirs: a part may be run again."""
    if old is None or old["quick"] != new["quick"]:
        return new
    rows = {a["label"]: a for a in old["allocators"]}
    for allocator in new["allocators"]:
        known = {v["name"]: v for v in rows.get(allocator["label"], allocator)["verdicts"]}
        known |= {v["name"]: v for v in allocator["verdicts"]}
        rows[allocator["label"]] = allocator | {"verdicts": list(known.values())}
    return new | {"allocators": list(rows.values())}


def record(files: Sequence[str]) -> None:
    """Takes documents of `mtbench verify --json` and `tests.real.run --json`. Raises UsageError for
    one of another kind."""
    for file in files:
        document = json.loads(Path(file).read_text(encoding="utf-8"))
        kind = document.get("kind")
        if kind not in KINDS:
            raise UsageError(f"{file}: kind {kind!r}; accepted: {', '.join(KINDS)}")
        name = KINDS[kind]
        if kind == "mtbench-verify":
            name = name if document["quick"] else FULL
            document = merged(load(name) if (DATA / name).exists() else None, document)
        store(name, document)


def load(name: str) -> Json:
    """A result file of docs/data. Raises MtbenchError where it was never kept."""
    try:
        document: Json = json.loads((DATA / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MtbenchError(f"{DATA / name}: not kept yet") from error
    return document


def main(arguments: list[str]) -> int:
    """See the module's text."""
    try:
        match arguments:
            case ["run", run, name] if re.fullmatch(r"[\w.-]*\w", name):
                keep(Path(run), name)
            case ["results", _, *_]:
                record(arguments[1:])
            case ["-h"] | ["--help"]:
                print(__doc__)
            case _:
                raise UsageError("accepted: run RUN NAME, or results FILE...")
    except MtbenchError as error:
        print(f"keep: {error}", file=sys.stderr)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
