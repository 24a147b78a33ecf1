"""What the harness itself costs, measured: `python -m tools.harness [NAME ...]`.

Everything runs on the null malloc, each trial in a fresh process, and the least of several short
windows is taken: other work on the machine can only add.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workloads.errors import SpecError
from workloads.message import request
from workloads.named import catalogue
from workloads.native import null_library
from workloads.preload import preload_path
from workloads.spec import Workload

_WORKER = """
import json, sys, workloads
message = sys.stdin.buffer.read()
print(json.dumps([workloads.execute(message) for _ in range(int(sys.argv[1]))]))
"""


@dataclass(frozen=True)
class Cost:
    """Nanoseconds of one thread for one unit of a workload, least of the windows.

    `null`: on the null malloc, latencies sampled; `unsampled`: without; `bare`: the loop without
    calls; `calls`: that with two calls of empty functions; None where the kernel has no such loop.
    `efficiency`: X(N) / (N X(1)) on the N processors this
    process may use, None with one.
    """

    workload: str
    null: float
    unsampled: float
    bare: float | None
    calls: float | None
    efficiency: float | None


def _least(spec: Workload, windows: int, **options: Any) -> float | None:
    """Nanoseconds per unit, whole process, of the fastest window; None where it cannot run.

    On a busy machine no thread may run in a short window: longer ones then.
    """
    for duration in (0.005, 0.05, 0.5, 2.0):
        costs = _costs(spec, windows, {"duration": duration, "warmup": 0.002, "seed": 1, **options})
        if costs is None or costs:
            return min(costs) if costs else None
    return None


def _costs(spec: Workload, windows: int, options: dict[str, Any]) -> list[float] | None:
    message = request(spec, **options)
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, str(windows)],
        input=message,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LD_PRELOAD": preload_path(str(null_library()))},
        check=False,
    )
    if done.returncode:
        return None
    records = json.loads(done.stdout)
    return [1e9 * r["elapsed_s"] / r["operations"] for r in records if r["operations"]]


def measure(spec: Workload, windows: int = 60) -> Cost:
    """The harness's share of a workload. Takes about two seconds.

    Raises RuntimeError where not one window counted an operation.
    """
    cores = len(os.sched_getaffinity(0))
    null = _least(spec, windows, threads=1)
    unsampled = _least(spec, windows, threads=1, latency_every=0)
    bare = _least(spec, windows, threads=1, latency_every=0, loop="bare")
    calls = _least(spec, windows, threads=1, latency_every=0, loop="calls")
    together = _least(spec, windows, threads=cores) if cores > 1 else None
    if null is None or unsampled is None:
        raise RuntimeError(f"{spec.name} counted no {spec.unit} on the null malloc")
    efficiency = null / (cores * together) if together else None
    return Cost(spec.name, null, unsampled, bare, calls, efficiency)


def main(names: Sequence[str]) -> int:
    """Print a line per workload; the whole catalogue where none is named."""
    named = catalogue()
    for name in names:
        if name not in named:
            print(f"harness: no workload {name!r}; there are {', '.join(named)}", file=sys.stderr)
            return 2
    heads = ("null ns", "unsampled", "bare ns", "calls ns", "null/calls", "efficiency")
    print(f"{'workload':24}" + "".join(f"{head:>11}" for head in heads))
    for name in names or named:
        try:
            cost = measure(named[name])
        except (RuntimeError, SpecError) as error:
            print(f"harness: {error}", file=sys.stderr)
            return 1
        over_calls = cost.unsampled / cost.calls if cost.calls else None
        row = (cost.null, cost.unsampled, cost.bare, cost.calls, over_calls, cost.efficiency)
        numbers = "".join(f"{value:11.2f}" if value else f"{'-':>11}" for value in row)
        print(f"{name:24}{numbers}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
