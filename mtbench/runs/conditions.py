"""What decides a run's numbers beside its plan: a run is resumed where all of it is as it was."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import allocator as hakmem
import workloads
from mtbench.errors import UsageError
from mtbench.machine import readings
from mtbench.machine.environment import settings
from mtbench.mallocs.allocators import Allocator, file_hash, worker_environment
from mtbench.runs.directory import RunDirectory
from workloads.native import deepbind_library

_LINKER = ("LD_LIBRARY_PATH", "LD_AUDIT", "LD_BIND_NOW")
_LIMITS = {"address space": "RLIMIT_AS", "data": "RLIMIT_DATA", "stack": "RLIMIT_STACK"}


@lru_cache(maxsize=1)
def build() -> dict[str, str]:
    """What must agree between client and worker: our Python sources and our libraries."""
    digest = hashlib.sha256()
    for package in ("mtbench", "workloads"):
        folder = Path(__file__).resolve().parents[2] / package
        for file in sorted(folder.rglob("*.py")):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return {
        "mtbench": digest.hexdigest()[:12],
        "hakmem": hashlib.sha256(repr(hakmem.build()).encode()).hexdigest()[:12],
        "workloads": hashlib.sha256(repr(workloads.BUILD).encode()).hexdigest()[:12],
    }


def here() -> dict[str, str]:
    """Name -> value of each condition of this process, its machine and its libraries."""
    found = dict(readings.fingerprint())
    found["processors"] = ",".join(map(str, readings.affinity()))
    for name, limit in _LIMITS.items():
        most = resource.getrlimit(getattr(resource, limit))[0]
        found[f"{name} limit"] = "none" if most == resource.RLIM_INFINITY else str(most)
    pages = readings.text("/sys/kernel/mm/transparent_hugepage/enabled") or ""
    found["transparent huge pages"] = pages.partition("[")[2].partition("]")[0] or "unknown"
    found["free page reporting"] = "on" if readings.reports_free_pages() else "off"
    versions = readings.packages()
    found |= {name: versions[name] for name in ("python", "numpy", "cffi") if name in versions}
    found |= {f"build of {part}": value for part, value in build().items()}
    reaching = worker_environment(Allocator("system", "system", None))
    found |= {name: reaching[name] for name in _LINKER if name in reaching}
    return found | settings(reaching)


def of_program(*commands: Iterable[str]) -> dict[str, str]:
    """The same of the programs that commands start: their files, where they start, and what is
    preloaded with their malloc."""
    found = {"folder": str(Path.cwd())}
    for word in [next(iter(words)) for words in commands if words]:
        path = shutil.which(word)
        found[f"program {word}"] = file_hash(os.path.realpath(path))[:12] if path else "missing"
    return found | {f"preloaded {name}": digest[:12] for name, digest in beside().items()}


def beside() -> dict[str, str]:
    """What is preloaded with the malloc of a program, with its SHA-256."""
    return {"deepbind": file_hash(str(deepbind_library()))}


def check(run: RunDirectory, now: Mapping[str, str]) -> None:
    """Refuse to go on with a run under other conditions: its trials could not be told apart.

    Raises UsageError, which names what differs. An older run knows its machine only.
    """
    kept = run.manifest.conditions
    if not kept:
        kept = run.manifest.fingerprint
        now = {name: now.get(name, "") for name in kept}
    if differing := differences(kept, now):
        raise UsageError(
            f"{run.path} was begun under other conditions ({'; '.join(differing)}); its trials "
            "cannot be mixed with others: restore them, or start a new run"
        )


def differences(kept: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`MALLOC_ARENA_MAX was 1, is unset` for each condition that is not as it was."""
    return [
        f"{name} was {kept.get(name, 'unset')}, is {now.get(name, 'unset')}"
        for name in sorted({*kept, *now})
        if kept.get(name) != now.get(name)
    ]
