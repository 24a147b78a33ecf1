"""One trial in a fresh process, as a worker would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import workloads
from workloads.preload import preload_path

# The record, and the file that the process's malloc is in.
WORKER = """
import ctypes, json, sys, workloads
record = workloads.execute(sys.stdin.buffer.read())
malloc = ctypes.cast(ctypes.CDLL(None).malloc, ctypes.c_void_p).value
for line in open("/proc/self/maps"):
    low, high = (int(end, 16) for end in line.split()[0].split("-"))
    if low <= malloc < high:
        record["served_by"] = line.split(maxsplit=5)[-1].strip()
print(json.dumps(record))
"""


def run_trial(
    spec: workloads.Workload, *, threads: int = 1, preload: Path | None = None, **options: Any
) -> dict[str, Any]:
    """The record of a short trial, served by the malloc of `preload` as is proved each time.

    Options are those of workloads.request.

    On a busy machine a short window may pass without any thread having run: longer then.
    """
    options = {"duration": 0.03, "warmup": 0.0, "seed": 1, **options}
    for _ in range(6):
        record = _run_once(spec, threads, preload, options)
        enough = record["operations"] or record["verify"]["violation"]
        if enough or "operation_limit" in options:
            break
        options["duration"] *= 3
    return record


def _run_once(
    spec: workloads.Workload, threads: int, preload: Path | None, options: dict[str, Any]
) -> dict[str, Any]:
    message = workloads.request(spec, threads=threads, **options)
    environment = dict(os.environ)
    if preload is not None:
        environment["LD_PRELOAD"] = preload_path(str(preload))
    worker = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=message,
        capture_output=True,
        env=environment,
        timeout=600,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr.decode()
    record: dict[str, Any] = json.loads(worker.stdout)
    served_by = Path(record["served_by"])
    if preload is None:
        assert served_by.name.startswith("libc"), f"not the system's malloc: {served_by}"
    else:
        assert served_by.samefile(preload), f"{served_by} served, not {preload}"
    return record
