"""The tool measured with itself: A/A comparisons, planted slowdowns, and what the tool costs.

    python -m tools.selfcheck aa        a configuration against itself: false claims at most 5 %
    python -m tools.selfcheck planted   5 % slower on purpose: found at least 90 % of the time
    python -m tools.selfcheck cost      start-up times, share spent measuring, report of 10 000

Exit code 0 if the promise holds, 3 if not. `-o FILE` keeps every trial as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import workloads
from mtbench.analysis.statistics import Verdict, far_out, independent_ratio, median, paired_ratio
from mtbench.base.written import write_whole
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.machine import readings
from mtbench.mallocs import allocators
from mtbench.plan.jobs import DEFAULT_TRIALS
from mtbench.plan.plan import Cell, Plan, Trial
from mtbench.runs.record import Record
from mtbench.runs.result import cpu_seconds
from mtbench.trial.measure import Measurer
from tools.repository import Json

BASE_WORK = 160
"""Rounds of arithmetic in the unslowed loop. So many are its critical path, and a further round
costs what the last one did; the first ones are hidden behind the loads of malloc and free."""

CALIBRATION_TRIALS = 9
POWER_TRIALS = (5, 8, 12, 20)
POWER_DRAWS = 1_000
QUIET = 0.98
"""Of the processor time they could use, what the threads got at least on a quiet machine."""


@dataclass(frozen=True)
class Experiment:
    """Comparisons of two labels, each with `trials` rounds of one trial per side.

    throughput: operations per second, shape (comparisons, trials, 2), sides A and B. processor:
    CPU seconds used per second of the window, same shape.
    """

    title: str
    allocator: str
    workload: str
    threads: int
    duration: float
    warmup: float
    throughput: NDArray[np.float64]
    processor: NDArray[np.float64]

    def verdicts(self, threshold: float) -> list[str]:
        """What `paired_ratio` says of B over A in each comparison."""
        return _verdicts(self.throughput, threshold)

    def by_processor_time(self, threshold: float) -> list[str]:
        """The same of operations per CPU second, which others on the machine hardly disturb."""
        return _verdicts(self.throughput / self.processor, threshold)

    def power(self, threshold: float, wanted: str, seed: int = 1) -> dict[str, float]:
        """The share of `wanted` if comparisons had n trials per side, for several n.

        `POWER_DRAWS` comparisons of n pairs each, drawn with replacement from all pairs kept.
        """
        pairs = self.throughput.reshape(-1, 2)
        generator = np.random.default_rng(seed)
        shares = {}
        for trials in POWER_TRIALS:
            drawn = pairs[generator.integers(0, len(pairs), (POWER_DRAWS, trials))]
            shares[str(trials)] = _verdicts(drawn, threshold).count(wanted) / POWER_DRAWS
        return shares

    def quiet(self) -> float:
        """The 5th percentile over trials of the processor time had, as a share of all usable."""
        usable = min(self.threads, readings.usable_cores())
        return float(np.nanquantile(self.processor, 0.05)) / usable

    def unpaired(self, threshold: float) -> list[str]:
        """What `compare` would say: the same trials taken as two runs."""
        return [
            independent_ratio(pair[:, 1], pair[:, 0], threshold=threshold, resamples=2_000).verdict
            for pair in self.throughput
        ]

    def effect(self) -> float:
        """Median of all paired ratios, minus 1."""
        return median((self.throughput[:, :, 1] / self.throughput[:, :, 0]).ravel()) - 1

    def processor_effect(self) -> float:
        """The same of operations per CPU second: what was planted, whoever disturbed it."""
        rates = self.throughput / self.processor
        return median((rates[:, :, 1] / rates[:, :, 0]).ravel()) - 1

    def spread(self) -> float:
        """Standard deviation of a trial's log throughput within its comparison, as a share."""
        logs = np.log(np.where(self.throughput > 0, self.throughput, math.nan))
        centred = logs - np.nanmedian(logs, axis=1, keepdims=True)
        return float(np.nanstd(centred))


def _verdicts(rates: NDArray[np.float64], threshold: float) -> list[str]:
    return [paired_ratio(pair[:, 1], pair[:, 0], threshold=threshold).verdict for pair in rates]


def experiment(args: argparse.Namespace, slowdown: float) -> Experiment:
    """Measure every comparison; B is slowed by `slowdown` (a share; 0 for A/A)."""
    chosen = allocators.identify([allocators.resolve(args.allocator)])[0]
    spec = workloads.catalogue()[args.workload].with_options(work=BASE_WORK if slowdown else 0)
    plan = _plan(args, args.comparisons * args.trials)
    if slowdown:
        other = spec.with_options(work=BASE_WORK + _rounds(plan, chosen, spec, slowdown))
    else:
        other = spec
    measurer = Measurer(plan, {"it": chosen}, {"A": spec, "B": other})
    found = np.full((2, args.comparisons, args.trials, 2), math.nan)
    for trial in plan.order():
        comparison, block = divmod(trial.block, args.trials)
        place = comparison, block, "AB".index(trial.cell.workload)
        found[0][place], found[1][place] = _rates(measurer.record(trial))
        if sys.stderr.isatty() and trial.order % 10 == 0:
            print(f"\r{trial.order + 1}/{plan.trials * 2}", end="", file=sys.stderr)
    title = f"{slowdown * 100:g} % planted" if slowdown else "A/A"
    return Experiment(
        title, args.allocator, args.workload, args.threads, args.duration, args.warmup, *found
    )


def _plan(args: argparse.Namespace, blocks: int) -> Plan:
    cells = (Cell("it", "A", args.threads), Cell("it", "B", args.threads))
    return Plan(
        allocators=("it",),
        workloads=("A", "B"),
        threads=(args.threads,),
        trials=blocks,
        duration=args.duration,
        warmup=args.warmup,
        seed=args.seed,
        cores=readings.usable_cores(),
        cells=cells,
        latency_every=0,
    )


def _rounds(
    plan: Plan, chosen: allocators.Allocator, spec: workloads.Workload, slowdown: float
) -> int:
    """How many more rounds of arithmetic make the loop slower by `slowdown`.

    The cost of a round is taken from two loops, measured in turns; the processor time of an
    operation is linear in the rounds beyond `BASE_WORK`.
    """
    more = BASE_WORK // 2
    loops = {"A": spec, "B": spec.with_options(work=BASE_WORK + more)}
    measurer = Measurer(plan, {"it": chosen}, loops)
    times: dict[str, list[float]] = {"A": [], "B": []}
    for block in range(CALIBRATION_TRIALS):
        for cell in plan.cells:
            speed, processor = _rates(measurer.record(Trial(0, block, cell)))
            times[cell.workload].append(processor / speed)
    base = median(times["A"])
    a_round = (median(times["B"]) - base) / more
    wanted = base * (1 / (1 - slowdown) - 1)
    if not a_round > 0 or wanted < a_round:
        raise MtbenchError("this machine is too noisy now to plant a slowdown of known size")
    return round(wanted / a_round)


def _rates(record: Record) -> tuple[float, float]:
    """Operations, and CPU seconds, a second of a trial's window."""
    result = record.good
    if result is None:
        raise MtbenchError(f"a trial failed: {record.status}, {record.reason}")
    elapsed = result.elapsed_s
    processor = cpu_seconds(result) / elapsed
    # A trial whose thread was never scheduled has no speed; it is missing, not zero.
    return float(result.operations / elapsed) or math.nan, processor or math.nan


def report(result: Experiment, wanted: str, threshold: float) -> Json:
    """Shares of each verdict, and the machine's noise, as kept in the docs."""
    total = len(result.throughput)
    document: Json = {
        "experiment": result.title,
        "allocator": result.allocator,
        "workload": result.workload,
        "threads": result.threads,
        "duration_s": result.duration,
        "warmup_s": result.warmup,
        "comparisons": total,
        "trials_a_side": int(result.throughput.shape[1]),
        "threshold": threshold,
        "effect": round(result.effect(), 5),
        "processor_effect": round(result.processor_effect(), 5),
        "spread_of_a_trial": round(result.spread(), 5),
        "far_out": int(sum(far_out(side).sum() for pair in result.throughput for side in pair.T)),
        "machine": readings.summary(),
        "processor_share": round(result.quiet(), 4),
        "quiet": result.quiet() >= QUIET,
        "wanted": wanted,
        "share_by_trials": result.power(threshold, wanted),
    }
    for name, verdicts in (
        ("paired", result.verdicts(threshold)),
        ("two_runs", result.unpaired(threshold)),
        ("by_processor_time", result.by_processor_time(threshold)),
    ):
        document[name] = {
            verdict: verdicts.count(verdict)
            for verdict in (Verdict.FASTER, Verdict.SLOWER, Verdict.SAME)
        }
    document["throughput"] = [
        [[round(value) if value == value else None for value in block] for block in pair]
        for pair in result.throughput
    ]
    document["processor"] = [
        [[round(value, 3) if value == value else None for value in block] for block in pair]
        for pair in result.processor
    ]
    return document


def _experiment_command(args: argparse.Namespace) -> int:
    slowdown = args.slowdown if args.what == "planted" else 0.0
    result = experiment(args, slowdown)
    wanted = Verdict.SLOWER if slowdown else Verdict.SAME
    document = report(result, wanted, args.threshold)
    _keep(args.output, document)
    total = document["comparisons"]
    print(
        f"{result.title}: {args.allocator} {args.workload} x {args.threads}, {total} comparisons "
        f"of {args.trials} trials per side of {args.duration:g} s; effect "
        f"{document['effect'] * 100:+.2f} %, by processor time "
        f"{document['processor_effect'] * 100:+.2f} %, a trial's spread "
        f"{document['spread_of_a_trial'] * 100:.2f} %"
    )
    if not document["quiet"]:
        print(
            f"  not a quiet machine: in 1 of 20 trials the threads had at most "
            f"{document['processor_share'] * 100:.0f} % of the processor time they could use"
        )
    for name in ("paired", "two_runs", "by_processor_time"):
        counts = document[name]
        words = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
        print(f"  {name.replace('_', ' ')}: {words}")
    share = document["paired"][wanted] / total
    least = args.least if args.least is not None else (0.9 if slowdown else 0.95)
    by_trials = ", ".join(f"{n}: {s * 100:.1f} %" for n, s in document["share_by_trials"].items())
    print(f"  '{wanted}' by trials per side, drawn from these: {by_trials}")
    print(f"  '{wanted}' in {share * 100:.1f} %, promised {least * 100:g} %")
    return Exit.FINE if share >= least else Exit.GATE


def _cost_command(args: argparse.Namespace) -> int:
    from tools import own_cost

    document = own_cost.measure()
    _keep(args.output, document)
    print(own_cost.table(document))
    return Exit.FINE if all(row["kept"] for row in document["rows"]) else Exit.GATE


def _refuse_foreign(path: Path) -> None:
    """Raises UsageError, before minutes of measuring, where the numbers cannot be kept."""
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"-o {path} cannot be written; accepted: a file in a folder that is there")
    try:
        kept = json.loads(path.read_bytes()) if path.is_file() else {"machine": ""}
    except (ValueError, RecursionError):
        kept = None
    if path.is_dir() or not isinstance(kept, dict) or "machine" not in kept:
        raise UsageError(f"-o {path} holds what no self-check wrote; give another -o")


def _keep(path: str | None, document: Json) -> None:
    if path:
        write_whole(Path(path), json.dumps(document) + "\n")


def main(argv: list[str] | None = None) -> int:
    """`python -m tools.selfcheck`."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.selfcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("aa", "planted", "cost"))
    add = parser.add_argument
    add("-a", "--allocator", default="system")
    add("-w", "--workload", default="mid_gap")
    add("-t", "--threads", type=int, default=1)
    add("-n", "--trials", type=int, default=DEFAULT_TRIALS, help="per side of each comparison")
    add("--comparisons", type=int, help="default 200 for aa, 50 for planted")
    add("--duration", type=float, help="seconds; default 0.05 for aa, 0.5 for planted")
    add("--warmup", type=float, default=0.02)
    add("--slowdown", type=float, default=0.05)
    add("--threshold", type=float, default=0.02)
    add("--seed", type=int, default=1)
    add("--least", type=float, help="share of right verdicts promised (default 0.95 and 0.9)")
    add("-o", "--output", help="keep the numbers as JSON")
    args = parser.parse_args(argv)
    planted = args.what == "planted"
    args.comparisons = args.comparisons or (50 if planted else 200)
    args.duration = args.duration or (0.5 if planted else 0.05)
    try:
        if args.output is not None:
            _refuse_foreign(Path(args.output))
        return _cost_command(args) if args.what == "cost" else _experiment_command(args)
    except MtbenchError as error:
        print(f"tools.selfcheck: {error}", file=sys.stderr)
        return int(error.code)


if __name__ == "__main__":
    sys.exit(main())
