"""What may be asked for: wrong values and two things of one name are refused before measuring."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtbench
import workloads
from mtbench.__main__ import main
from mtbench.errors import MtbenchError, UsageError
from mtbench.mallocs import allocators
from mtbench.plan import jobs
from mtbench.plan.plan import Cell
from mtbench.plan.request import Request
from tests.support.fabricated import fabricate

Library = Callable[[str], Path]
Say = pytest.CaptureFixture[str]
MINE = workloads.Workload("mine", "toggle", workloads.Sizes("fixed", size=64))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"trials": 0}, "trials 0 is not possible; accepted: a number of trials, 1-10000"),
        ({"trials": 2.5}, "trials 2.5"),
        ({"trials": True}, "trials True"),
        ({"threads": []}, "threads is empty; accepted: 1-256"),
        ({"threads": [0]}, "threads 0 is not possible; accepted: 1-256"),
        ({"threads": 1.5}, "threads 1.5"),
        ({"threads": ["two"]}, "threads 'two'"),
        ({"threads": ""}, "thread list ''"),
        ({"duration": -1}, "duration -1 is not possible; accepted: a number of seconds above 0"),
        ({"duration": 1e-9}, "duration 1e-09"),
        ({"duration": "1"}, "duration '1'"),
        ({"warmup": float("nan")}, "warmup nan is not possible; accepted: a number of seconds"),
        ({"seed": -1}, "seed -1 is not possible; accepted: a whole number from 0"),
        (
            {"pin": "everywhere"},
            "pin 'everywhere' is not possible; accepted: none, compact",
        ),
        ({"verify": "no"}, "verify 'no' is not possible; accepted: True, False"),
        ({"allocators": []}, "allocators is empty"),
        ({"allocators": [Path("libmine.so")]}, "allocators: PosixPath('libmine.so')"),
        ({"workloads": []}, "workloads is empty"),
        ({"workloads": 3}, "workloads: 3 is not possible; accepted: names, paths of TOML files"),
        ({"workloads": Path("missing.toml")}, "no workload file at missing.toml"),
        ({"output": ""}, "output is empty"),
    ],
)
def test_a_wrong_value_from_python_is_refused_by_its_name_and_nothing_is_measured(
    wrong: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {"allocators": "system", "workloads": MINE, "threads": 1} | wrong
    with pytest.raises(UsageError) as refused:
        mtbench.sweep(**asked)
    assert words in str(refused.value) and "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", "-1"), ("--duration", "0.0001"), ("--warmup", "1e5"), ("--latency-every", "-1")],
)
def test_the_command_line_refuses_what_python_refuses(
    option: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main(["sweep", "-a", "system", option, value])
    assert leaving.value.code == 2
    assert f"{option}: {value} is not a " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_one_thing_stands_for_a_list_of_one_and_a_workload_for_its_name(tmp_path: Path) -> None:
    file = tmp_path / "copy.toml"
    file.write_text(MINE.with_options(name="copy").to_toml())
    asked = Request(allocators="system", workloads=[MINE, file, "mid_gap"], threads=np.int64(2))
    job = jobs.job(asked)
    assert job.plan.allocators == ("system",)
    assert job.plan.workloads == ("mine", "copy", "mid_gap")
    assert job.plan.threads == (2,)
    assert job.specs["mine"] == MINE


def test_only_the_cells_that_are_asked_for_are_planned_and_none_beyond_the_grid() -> None:
    cells = Cell("null", "mine", 2), Cell("system", "mine", 1)
    asked = Request(["system", "null"], [MINE], (1, 2), cells, trials=1)
    plan = jobs.plan_of(asked)
    assert plan.cells == cells
    assert plan == jobs.job(asked).plan
    with pytest.raises(UsageError, match="cell system, mine, 4 is none of this sweep"):
        jobs.plan_of(replace(asked, cells=(Cell("system", "mine", 4),)))


def test_a_library_may_be_asked_for_as_an_allocator(library: Library) -> None:
    good = allocators.peer("good", str(library("good")))
    plan = jobs.plan_of(Request([good, "system"], [MINE], (1,)))
    assert plan.allocators == ("good", "system")


def test_two_libraries_of_one_name_are_refused(tmp_path: Path, library: Library) -> None:
    copy = Path(shutil.copy(library("good"), tmp_path / "libcopy.so"))
    twice = f"mine={library('good')}"
    assert len(allocators.resolve_all([twice, twice])) == 1
    with pytest.raises(UsageError, match="two allocators are called 'mine'"):
        allocators.resolve_all([f"{twice},mine={copy}"])


@pytest.mark.parametrize("name", ["system", "null", "hakmem", "hakmem-fixed", "all"])
def test_a_library_cannot_be_given_a_name_that_means_another(name: str, library: Library) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is taken; accepted: any but system, null"):
        allocators.resolve_all([f"{name}={library('good')}"])


def test_an_installed_malloc_and_a_library_of_its_name_are_not_mistaken(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [allocators.Allocator("jemalloc", "peer", "/lib/libjemalloc.so.2")]
    monkeypatch.setattr(allocators, "peers", lambda: there)
    with pytest.raises(UsageError, match="two allocators are called 'jemalloc'"):
        allocators.resolve_all(["all", f"jemalloc={library('good')}"])


def test_two_workloads_of_one_name_are_refused(tmp_path: Path) -> None:
    other = MINE.with_options(touch="all")
    file = tmp_path / "mine.toml"
    file.write_text(other.to_toml())
    assert list(jobs.workload_specs([MINE, MINE])) == ["mine"]
    with pytest.raises(UsageError, match=r"mine.toml: another workload named before is 'mine' too"):
        jobs.workload_specs([MINE, str(file)])
    with pytest.raises(UsageError, match="another workload named before is 'mine' too"):
        mtbench.sweep("system", [MINE, other], 1)


def test_a_copied_workload_that_kept_its_name_is_refused_once_it_differs(tmp_path: Path) -> None:
    spec = workloads.catalogue()["mid_gap"]
    file = tmp_path / "mine.toml"
    file.write_text(spec.to_toml())
    assert jobs.workload_specs([str(file)]) == {"mid_gap": spec}
    file.write_text(spec.to_toml().replace('touch = "first"', 'touch = "all"'))
    with pytest.raises(UsageError, match=r"mine.toml: the name 'mid_gap' is that of another"):
        jobs.workload_specs([str(file)])


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="option slots is given twice"):
        jobs.workload_specs(["mid_gap:slots=64,slots=65"])
    with pytest.raises(UsageError, match="option registry is given twice"):
        allocators.resolve("hakmem:registry=flat,registry=locked")


def test_a_manifest_with_two_things_of_one_name_is_refused(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", lambda *_: 1e7, threads=(1,))
    manifest = json.loads((run / "manifest.json").read_text())
    for name in ("allocators", "workloads", "cells"):
        plan = manifest["plan"] | {name: manifest["plan"][name] * 2}
        (run / "manifest.json").write_text(json.dumps(manifest | {"plan": plan}))
        with pytest.raises(MtbenchError, match=rf"damaged: plan.{name} has .* twice"):
            mtbench.load(run)
    allocators = manifest["allocators"] + manifest["allocators"][-1:]
    (run / "manifest.json").write_text(json.dumps(manifest | {"allocators": allocators}))
    with pytest.raises(MtbenchError, match="allocators are not those of its plan"):
        mtbench.load(run)
