"""Does the learned huge threshold move, and what is it worth? ``python -m tools.learner``.

One process runs two phases after each other, on one thread: first large blocks that are cleared and
hardly touched (calloc), where fresh mappings are cheap, then large blocks that are written whole,
where keeping pages is. The best threshold changes half way. The same is done with each of a few
fixed thresholds; all runs are interleaved, and the learner is compared with the best fixed one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

import allocator
import workloads
from mtbench.base.table import text_table
from tools.repository import Json
from workloads.preload import preload_path

FIXED = ("512K", "2M", "8M", "32M")
STEPS = 8
"""Windows a phase is cut into; the threshold is read after each."""


def phases() -> tuple[workloads.Workload, workloads.Workload]:
    """The two phases: cleared and left alone, then written whole. 1 - 16 MiB, 8 slots."""
    huge = workloads.catalogue()["huge_mixed"]
    sizes = workloads.Sizes("uniform", low=1 << 20, high=16 << 20)
    cleared = huge.with_options(sizes=sizes, calls={"calloc": 1.0}, touch="first")
    return cleared, huge.with_options(sizes=sizes)


def child(seconds: float) -> None:
    """Runs both phases in this process; one JSON line: operations per phase, thresholds seen."""
    requests = [
        [
            workloads.request(
                phase, threads=1, duration=seconds / STEPS, warmup=0.0, seed=step, latency_every=0
            )
            for step in range(STEPS)
        ]
        for phase in phases()
    ]
    rates, thresholds = [], []
    for steps in requests:
        operations = elapsed = 0.0
        for request in steps:
            result = workloads.execute(request)
            operations += result["operations"]
            elapsed += result["elapsed_s"]
            thresholds.append(allocator.stats()["huge_threshold"])
        rates.append(operations / elapsed)
    stats = allocator.stats()
    print(
        json.dumps(
            {
                "rates": rates,
                "thresholds": thresholds,
                "matches": stats["learner_matches"],
                "moves": stats["learner_moves"],
            }
        )
    )


def measure(setting: str, seconds: float) -> Json:
    """One process with one setting: "learned", or a fixed threshold."""
    environment = os.environ | {"LD_PRELOAD": preload_path(str(allocator.library()))}
    name, value = ("HAKMEM_LEARN", "1") if setting == "learned" else ("HAKMEM_THRESHOLD", setting)
    environment[name] = value
    done = subprocess.run(
        [sys.executable, "-m", "tools.learner", "--child", str(seconds)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: Json = json.loads(done.stdout)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Prints one row a setting and the learner's path; always 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.learner", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each phase (default 2)")
    parser.add_argument("-n", "--trials", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        child(options.child)
        return 0
    settings = ("learned", *FIXED)
    found: dict[str, list[Json]] = {setting: [] for setting in settings}
    for _ in range(options.trials):
        for setting in settings:
            found[setting].append(measure(setting, options.seconds))
    if options.json:
        print(json.dumps(found))
        return 0
    report(found)
    return 0


def report(found: dict[str, list[Json]]) -> None:
    """The table, and where the learner went."""

    def rate(setting: str, phase: int) -> float:
        return float(statistics.median(trial["rates"][phase] for trial in found[setting]))

    def total(setting: str) -> float:
        """Harmonic mean of the phases: operations per second if both share the work evenly."""
        return float(statistics.harmonic_mean([rate(setting, 0), rate(setting, 1)]))

    best = max(FIXED, key=total)
    rows = [
        [
            setting,
            f"{rate(setting, 0):.0f}",
            f"{rate(setting, 1):.0f}",
            f"{total(setting) / total(best):.2f}",
        ]
        for setting in found
    ]
    print(text_table(["threshold", "cleared op/s", "written op/s", f"over fixed {best}"], rows))
    for trial in found["learned"]:
        path = " ".join(f"{threshold / 2**20:.1f}" for threshold in trial["thresholds"])
        print(f"learned, MiB after each eighth of a phase: {path}")
        print(f"matches {trial['matches']}, changes of the leader {trial['moves']}")


if __name__ == "__main__":
    sys.exit(main())
