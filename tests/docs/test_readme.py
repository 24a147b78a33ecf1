"""What the README says of the ladder is what the ladder's kept run says."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

import mtbench

ROOT = Path(__file__).parents[2]


def test_the_steps_of_the_ladder_are_those_of_its_run() -> None:
    run = mtbench.load(ROOT / "docs" / "data" / "ladder")
    medians = np.nanmedian(run.throughput, axis=-1)[:, run.workloads.index("mid_gap")]

    def gain(step: str, below: str) -> list[str]:
        top, bottom = (medians[run.allocators.index(label)] for label in (step, below))
        return [f"{top[run.threads.index(n)] / bottom[run.threads.index(n)]:.1f}" for n in (1, 2)]

    steps = ("locked", "prealloc-locked", "prealloc-seqlock")
    rungs = [*(f"hakmem:registry={name}" for name in steps), "hakmem"]
    found = [gain(top, below) for below, top in pairwise(rungs)]
    (sentence,) = re.findall(r"at one thread and at two: .*", (ROOT / "README.md").read_text())
    assert re.findall(r"([\d.]+) x and ([\d.]+) x", sentence) == [tuple(pair) for pair in found]
