"""A workload that was not served has no throughput: not in the kernels, not anywhere after."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtbench
import workloads
from mtbench.__main__ import main
from mtbench.commands.report import load
from tests.support.fabricated import fabricate

Library = Callable[[str], Path]
Say = pytest.CaptureFixture[str]
BIG = workloads.Workload("big", "replace", workloads.Sizes("fixed", size=1 << 20))
SOME = BIG.with_options(name="some", sizes=workloads.Sizes("uniform", low=1, high=128 << 10))
SHORT: dict[str, Any] = {"threads": 1, "trials": 2, "duration": 0.03, "warmup": 0.0}


def steady(label: str, workload: str, threads: int) -> float:
    return {"system": 10e6, "hakmem": 20e6, "peer": 16e6}[label]


def test_a_malloc_that_refuses_has_no_throughput(tmp_path: Path, library: Library) -> None:
    refuser = f"refuser={library('refuser')}"
    run = mtbench.sweep([refuser, "system"], [BIG, SOME], output=tmp_path / "run", **SHORT)
    assert np.isnan(run.throughput[0]).all()
    records = [json.loads(line) for line in (run.path / "trials.jsonl").open()]
    for record in records:
        if record["allocator"] == "refuser":
            assert record["status"] == "refused"
            assert record["reason"].startswith("malloc refused ")
        else:
            assert record["status"] == "ok"
    served = {r["result"]["operations"] for r in records
              if r["allocator"] == "refuser" and r["workload"] == "big"}  # fmt: skip
    assert served == {0}
    told = [finding.text for finding in load(run.path)[2].findings]
    assert any(text.startswith("refuser failed in 4 trials") for text in told)
    assert not any("refuser is fastest" in text for text in told)


def test_one_cell_that_is_refused_is_no_number_and_exit_code_four(
    library: Library, tmp_path: Path, capsys: Say
) -> None:
    file = tmp_path / "big.toml"
    file.write_text(BIG.to_toml())
    short = ["-n", "1", "--duration", "0.03", "--warmup", "0", "-q"]
    refuser = f"refuser={library('refuser')}"
    assert main(["run", "-a", refuser, "-w", str(file), *short]) == 4
    told = capsys.readouterr()
    assert "refused, malloc refused" in told.err and "100 %" in told.err
    assert "n = 0" in told.out


def test_a_limit_of_memory_that_refuses_is_no_throughput(tmp_path: Path) -> None:
    hungry = BIG.with_options(name="hungry", slots=4096, touch="none")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, before[1]))
    try:
        run = mtbench.sweep("system", hungry, output=tmp_path / "run", **SHORT)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert np.isnan(run.throughput).all()
    (record, _) = (json.loads(line) for line in (run.path / "trials.jsonl").open())
    assert record["status"] == "refused", record["reason"]


def test_a_program_that_ends_otherwise_under_another_malloc_is_told(
    tmp_path: Path, capsys: Say
) -> None:
    program = 'sleep 0.5; case "$LD_PRELOAD" in *libhakmem*) exit 1;; esac; exit 0'
    words = ["exec", "-a", "system,hakmem", "-n", "1", "--ignore-exit-code", "--no-progress"]
    assert main([*words, "-o", str(tmp_path / "run"), "--", "sh", "-c", program]) == 0
    out = capsys.readouterr().out
    assert "sh ends otherwise under another malloc: system with 0, hakmem with 1." in out


@pytest.mark.parametrize("field", ["failed_allocations", "failed_successors"])
def test_an_older_run_that_called_refusals_fine_has_no_throughput_there(
    field: str, tmp_path: Path, capsys: Say
) -> None:
    run = fabricate(tmp_path / "run", steady, threads=(1,))
    lines = [json.loads(line) for line in (run / "trials.jsonl").open()]
    for record in lines:
        if record["allocator"] == "hakmem":
            record["result"] |= {"total_operations": 50_000_000, field: 1}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    assert np.isnan(mtbench.load(run).throughput[1]).all()
    assert main(["rank", str(run), "--of", "peer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"][0]["best"] == "system"


def test_a_trial_in_which_nothing_was_done_is_missing_and_not_zero(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", lambda *_: 0.0, threads=(1,))
    assert np.isnan(mtbench.load(run).throughput).all()


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, None),
        ({"failed_allocations": 0, "failed_successors": 0}, None),
        (
            {"failed_allocations": 1, "total_operations": 3_000_000},
            "malloc refused 1 of 3000000 operations (3.33e-05 %)",
        ),
        (
            {"failed_allocations": 25, "total_operations": 100, "failed_successors": 1},
            "malloc refused 25 of 100 operations (25 %); "
            "1 thread could not be started for those that ended",
        ),
    ],
)
def test_one_refused_call_is_enough_and_its_share_is_told(
    counts: dict[str, int], words: str | None
) -> None:
    assert workloads.unserved(counts) == words
