"""Mallocs with a fault, and which promise finds it: what a suite of promises is measured by.

``python -m tools.faults`` plants each fault and keeps in docs/data which probe finds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from mtbench.commands.verify import catalogue, probe_path, select, verify
from mtbench.errors import MtbenchError
from mtbench.mallocs.allocators import Allocator
from tools.keep import store

FOUND_BY = {
    "twice": r"overlap\.small$",
    "dirty-calloc": r"contents\.calloc-small$",
    "lossy-realloc": r"contents\.realloc-pairs$",
    "misaligned": r"alignment\.malloc-every-size$",
    "leak": r"handover\.one-way$",
    "racy": r"handover\.(two-tiny|eight-mixed)$|overlap\.threads$",
    "silent-null": r"errno\.enomem$",
    "short-class": r"usable\.neighbours$",
    "errno-free": r"errno\.untouched-small$",
    "wrap-calloc": r"refusal\.calloc-wraps$",
    "bad-alignment": r"refusal\.aligned_alloc-einval$",
    "output": r"refusal\.posix_memalign-output$",
    "zero-null": r"zero\.malloc-unique$",
    "not-unique": r"zero\.malloc-unique$",
    "huge-stays": r"exhaustion\.mmap-loss$",
    "realloc-frees": r"refusal\.failed-realloc$",
    "stale-usable": r"usable\.writable-small$",
    "enomem-crash": r"exhaustion\.mmap-from$",
    "aligned-zero": r"zero\.every-alignment$",
    "reserves": r"limits\.own-address-space$",
    "shared-pages": r"limits\.own-data$",
    "asks-pid": r"sandbox\.filter$",
    "counts-cycles": r"sandbox\.cycle-counter$",
    "deep-stack": r"sandbox\.one-page-stack$",
    "raw-fork": r"sandbox\.(raw-fork|clone)$",
    "early-tls": r"hooks\.ifunc$",
    "not-reentrant": r"hooks\.memory$",
    "foreign-names": r"names\.(libc-free|libc-realloc|cfree)$",
    "deep-bind": r"names\.deepbind-(in|out)$",
    "shrink-keeps": r"peak\.shrunk-(buffers|blocks)$",
    "thread-hoard": r"threadcost\.(one-block|ended)$",
    "list": r"growth\.live-huge$",
    "copies": r"growth\.steps$",
    "clock-wraps": r"rest\.days$",
}
HANGS = {"hang": r"alignment\.many-live$", "fork": r"fork\.busy$"}
HOARDS = {
    "hoards": r"peak\.(growing|shrinking|phases|rising-phases|drift)$|back\.trim-"
    r"|rest\.((large|mid|small|pool)-asleep|large-cached|small-cached)$"
}
"""Of hoarder.c, whose only fault is what it keeps; the others are of faulty.c."""


def compiled(folder: Path, name: str) -> Allocator:
    """A malloc with faults, compiled from the file of that name beside this one, its fault not yet
    chosen. Raises MtbenchError without a C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise MtbenchError("no C compiler")
    library = folder / f"lib{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    flags = ["-O1", "-fno-builtin", "-fPIC", "-shared", "-D_GNU_SOURCE", "-pthread"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
    return Allocator(name, "peer", str(library))


def with_fault(faulty: Allocator, fault: str) -> Allocator:
    """The faulty malloc with this fault; "none" for none."""
    return replace(faulty, environment={"FAULTY": fault})


def plant_faults() -> None:
    """Compiles the faulty mallocs and records which probe finds each of their faults."""
    rows = []
    probe = probe_path()
    with tempfile.TemporaryDirectory() as folder:
        for source, faults in (("faulty", FOUND_BY | HANGS), ("hoarder", HOARDS)):
            library = compiled(Path(folder), source)
            for fault, pattern in faults.items():
                chosen = select(catalogue(probe), pattern)
                limit = 10.0 if fault in HANGS else 120.0
                subject = with_fault(library, fault)
                report = verify(subject, chosen, quick=True, timeout=limit, probe=probe)
                found = [{"probe": v.promise.name, "why": v.why} for v in report.promises("broken")]
                rows.append({"fault": fault, "found": found})
    store("faults.json", {"schema": 1, "kind": "mtbench-faults", "rows": rows})


if __name__ == "__main__":
    plant_faults()
