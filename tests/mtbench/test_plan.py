"""The plan: thread lists, rounds, windows."""

import json
from typing import Any

import msgspec
import pytest

from mtbench.errors import UsageError
from mtbench.plan.plan import Plan, grid, thread_counts
from mtbench.runs.record import checked


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "allocators": ("a", "b"),
        "workloads": ("w",),
        "threads": (1, 2, 64),
        "trials": 4,
        "duration": 0.1,
        "warmup": 0.01,
        "seed": 3,
        "cores": 2,
        "cells": grid(("a", "b"), ("w",), (1, 2, 64)),
    }
    return Plan(**(values | changes))


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1-64", (1, 2, 4, 8, 16, 32, 64)),
        ("1,2,3,8", (1, 2, 3, 8)),
        ("3-20", (3, 4, 8, 16, 20)),
        ("8,1-2", (1, 2, 8)),
        ("5", (5,)),
    ],
)
def test_thread_lists_mean_what_people_expect(text: str, counts: tuple[int, ...]) -> None:
    assert thread_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0", "8-1", "1-", "a", "1,,2", "-4", "1-9999", "1.5"])
def test_a_bad_thread_list_is_refused_in_one_line_that_names_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        thread_counts(text)
    assert repr(text)[1:-1] in str(caught.value) and "\n" not in str(caught.value)


def test_each_block_holds_every_cell_once_in_an_order_of_its_own() -> None:
    trials = list(plan().order())
    assert [trial.order for trial in trials] == list(range(24))
    blocks = [[t.cell for t in trials if t.block == block] for block in range(4)]
    assert all(sorted(block) == sorted(plan().cells) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_the_order_depends_on_the_seed_only() -> None:
    assert list(plan().order()) == list(plan().order())
    assert list(plan().order()) != list(plan(seed=4).order())


def test_windows_grow_when_threads_must_share_cores() -> None:
    assert plan().window(2) == 0.1
    assert plan().window(64) > 3 * plan().window(2)


def test_the_watchdog_waits_at_least_twenty_seconds_unless_told() -> None:
    assert plan().limit(1) == 20
    assert plan(timeout=3.0).limit(1) == 3
    assert plan(duration=10.0).limit(1) > 100


def test_a_plan_survives_the_manifest() -> None:
    kept = json.loads(json.dumps(msgspec.to_builtins(plan(sources=(("w", "x = 1"),)))))
    assert checked(kept, Plan) == plan(sources=(("w", "x = 1"),))


def test_a_manifest_without_a_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="has no `allocators`"):
        checked({"trials": 3}, Plan)
