"""The targets of docs/performance.md: when they are said to be reached."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from plots.data import Estimate
from tests.support.fabricated import fabricate
from tools.documents import targets


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Estimate(1.3, 1.26, 1.4), "yes"),
        (Estimate(1.3, 1.2, 1.4), "undecided"),
        (Estimate(1.2, 1.1, 1.3), "undecided"),
        (Estimate(1.2, 1.1, 1.24), "no"),
        (Estimate(1.3, math.nan, math.nan), "undecided"),
    ],
)
def test_a_target_is_reached_or_missed_only_by_its_whole_interval(
    found: Estimate, said: str
) -> None:
    assert targets.reached(found, 1.25) == said


def rows(tmp_path: Path, rates: dict[int, float]) -> dict[str, str]:
    """What is said of each target, of a run on four cores with these rates over threads."""
    run = fabricate(
        tmp_path / "run",
        lambda label, workload, threads: rates[threads] * (2.9 if label == "hakmem" else 1),
        workloads=("mid_exchange",),
        threads=tuple(rates),
        cores=4,
    )
    lines = targets.table(run).splitlines()[2:]
    return dict(line.strip("| ").split(" | ") for line in lines)


def test_many_threads_are_held_against_as_many_as_there_are_cores(tmp_path: Path) -> None:
    said = rows(tmp_path, {2: 20e6, 4: 10e6, 64: 9.5e6})
    (kept,) = [text for target, text in said.items() if "oversubscription" in target]
    assert kept == "yes, in 1 of 1 workloads"


def test_a_single_number_is_shown_with_its_interval(tmp_path: Path) -> None:
    said = rows(tmp_path, {2: 20e6, 64: 20e6})
    (mean,) = [text for target, text in said.items() if "geometric mean at least" in target]
    assert re.fullmatch(r"yes, 2\.\d\d \[2\.\d\d, 2\.\d\d\] x over 2 cells", mean)
    assert said["tiny: every cell at least 1.0 x"] == "not measured"
    (locks,) = [text for target, text in said.items() if "lock acquisitions" in target]
    assert locks == "not recorded in this run"
