"""A gate fails closed: what is missing, failed or unfinished is named and is no pass."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import workloads
from mtbench.__main__ import main
from mtbench.programs.program import Program
from tests.support.fabricated import fabricate

Say = pytest.CaptureFixture[str]
Keep = Callable[[dict[str, Any]], bool]


def steady(label: str, workload: str, threads: int) -> float:
    return {"system": 10e6, "hakmem": 20e6, "peer": 16e6}[label] * min(threads, 2)


def crashed(label: str, blocks: int) -> list[tuple[str, int]]:
    return [(label, block) for block in range(blocks)]


def cut(run: Path, keep: Keep) -> None:
    """Leave only some records, as an interrupted run would."""
    lines = (run / "trials.jsonl").read_text().splitlines()
    kept = [line for line in lines if keep(json.loads(line))]
    (run / "trials.jsonl").write_text("".join(f"{line}\n" for line in kept))


def amend(run: Path, **entries: Any) -> Path:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | entries))
    return run


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return fabricate(tmp_path / "base", steady, threads=(1, 8))


@pytest.mark.parametrize("blocks", [1, 5])
def test_a_change_that_crashes_closes_the_gate(
    base: Path, tmp_path: Path, capsys: Say, blocks: int
) -> None:
    change = fabricate(
        tmp_path / "change", steady, threads=(1, 8), failing=crashed("hakmem", blocks)
    )
    assert main(["compare", str(base), str(change)]) == 3
    told = capsys.readouterr()
    assert f"hakmem mid_gap x 8 (failed in {blocks} of 5 trials)" in told.err
    assert "2 cells fall short of the base" in told.err and told.err.count("\n") == 1
    assert told.out.count(f"failed in {blocks} of 5 trials (regression)") == 2
    # What failed as often before is no news.
    assert main(["compare", str(change), str(change)]) == 0
    assert main(["compare", str(change), str(base)]) == 0


def test_each_change_is_named_where_there_are_several(
    base: Path, tmp_path: Path, capsys: Say
) -> None:
    runs = [
        fabricate(tmp_path / name, steady, threads=(1, 8), failing=crashed("hakmem", 5))
        for name in ("one", "two")
    ]
    assert main(["compare", str(base), *map(str, runs)]) == 3
    said = capsys.readouterr().err
    assert "4 cells fall short" in said and "two: hakmem mid_gap x 8 (failed" in said


def test_a_cell_that_the_change_lacks_closes_the_gate(
    base: Path, tmp_path: Path, capsys: Say
) -> None:
    change = fabricate(tmp_path / "change", steady, threads=(1,), allocators=("system", "hakmem"))
    assert main(["compare", str(base), str(change)]) == 3
    told = capsys.readouterr()
    assert "4 cells fall short of the base" in told.err
    assert "peer mid_gap x 8 (not in the run)" in told.err
    assert main(["compare", str(change), str(base)]) == 0


def test_an_unfinished_change_closes_the_gate(base: Path, tmp_path: Path, capsys: Say) -> None:
    change = fabricate(tmp_path / "change", steady, threads=(1, 8))
    cut(change, lambda record: record["block"] < 4 or record["threads"] == 1)
    assert main(["compare", str(base), str(change)]) == 3
    assert "peer mid_gap x 8 (unfinished, 4 of 5 trials)" in capsys.readouterr().err
    cut(change, lambda record: record["threads"] == 1)
    assert main(["compare", str(base), str(change)]) == 3
    assert "peer mid_gap x 8 (unfinished, 0 of 5 trials)" in capsys.readouterr().err


def test_a_change_measured_too_seldom_for_a_verdict_closes_the_gate(
    base: Path, tmp_path: Path, capsys: Say
) -> None:
    change = fabricate(tmp_path / "change", steady, threads=(1, 8), trials=2)
    assert main(["compare", str(base), str(change)]) == 3
    assert "6 cells fall short" in capsys.readouterr().err


def test_a_base_without_numbers_is_said(tmp_path: Path, capsys: Say, base: Path) -> None:
    part = fabricate(tmp_path / "part", steady, threads=(1, 8), failing=crashed("peer", 5))
    assert main(["compare", str(part), str(base)]) == 0
    assert (
        "part has no number for peer mid_gap x 1, peer mid_gap x 8: not compared"
        in capsys.readouterr().err
    )
    none = fabricate(
        tmp_path / "none", steady, threads=(1,), allocators=("peer",), failing=crashed("peer", 5)
    )
    assert main(["compare", str(none), str(base)]) == 2
    assert "none has no number in any cell" in capsys.readouterr().err


def test_what_closes_the_gate_is_in_every_format(base: Path, tmp_path: Path, capsys: Say) -> None:
    failing = crashed("hakmem", 5)
    change = fabricate(tmp_path / "change", steady, threads=(1, 8), failing=failing)
    runs = [str(base), str(change)]
    assert main(["compare", *runs, "--json"]) == 3
    cells = json.loads(capsys.readouterr().out)["cells"]
    closing = [cell for cell in cells if cell["regression"]]
    assert [cell["ratio"] for cell in closing] == [None, None]
    assert main(["compare", *runs, "--format", "csv"]) == 3
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["ratio"] for row in rows].count("") == 2
    assert main(["compare", *runs, "--format", "markdown"]) == 3
    assert "| - | failed in 5 of 5 trials (regression) |" in capsys.readouterr().out


def test_rank_closes_its_gate_where_the_ranked_one_failed(tmp_path: Path, capsys: Say) -> None:
    run = str(fabricate(tmp_path / "run", steady, failing=crashed("hakmem", 5)))
    assert main(["rank", run, "--fail-below", "0.1"]) == 3
    assert "mid_gap x 1 (no number)" in capsys.readouterr().err
    part = str(fabricate(tmp_path / "part", steady, failing=crashed("hakmem", 2)))
    assert main(["rank", part, "--fail-below", "0.1"]) == 3
    assert "mid_gap x 8 (failed in 2 of 5 trials)" in capsys.readouterr().err
    assert main(["rank", part]) == 0
    assert main(["rank", part, "--of", "peer", "--fail-below", "0.1"]) == 0


def test_rank_closes_its_gate_where_no_trial_has_a_pair(tmp_path: Path, capsys: Say) -> None:
    failing = [("hakmem", 0), ("hakmem", 1), ("system", 2), ("system", 3), ("system", 4)]
    run = fabricate(tmp_path / "run", steady, allocators=("system", "hakmem"), failing=failing)
    assert main(["rank", str(run), "--fail-below", "0.1"]) == 3
    assert "mid_gap x 8 (no pair of trials)" in capsys.readouterr().err


def test_rank_says_where_nobody_else_has_a_number(tmp_path: Path, capsys: Say) -> None:
    run = fabricate(tmp_path / "run", steady, threads=(1, 2), allocators=("system", "hakmem"))
    cut(run, lambda record: record["allocator"] == "hakmem" or record["threads"] == 1)
    assert main(["rank", str(run), "--fail-below", "0.1"]) == 0
    assert "no other has a number for mid_gap x 2" in capsys.readouterr().err


def as_program(run: Path, *command: str, timeout: float = 600.0) -> Path:
    """The same run, as of a program."""
    task = Program(name="mid_gap", command=command, client=(), numbers=(), timeout=timeout)
    lines = (run / "trials.jsonl").read_text().splitlines()
    with (run / "trials.jsonl").open("w") as file:
        for record in map(json.loads, lines):
            record["result"]["program"] = {"numbers": {}}
            record["identity"] |= {"processes": 1, "proven": 1}
            file.write(json.dumps(record) + "\n")
    return amend(run, programs=[msgspec.to_builtins(task)])


def test_programs_that_differ_are_told(base: Path, tmp_path: Path, capsys: Say) -> None:
    as_program(base, "sort", "one.txt")
    change = fabricate(tmp_path / "change", steady, threads=(1, 8))
    as_program(change, "sort", "two words.txt", timeout=60.0)
    assert main(["compare", str(base), str(change)]) == 0
    said = capsys.readouterr().err
    assert "change ran mid_gap with command 'sort 'two words.txt''" in said
    assert "base with 'sort one.txt'" in said and "timeout" not in said


def test_runs_that_count_different_things_are_refused(
    base: Path, tmp_path: Path, capsys: Say
) -> None:
    change = fabricate(tmp_path / "change", steady, threads=(1, 8))
    amend(change, workloads=[{"name": "mid_gap", "description": "", "unit": "threads"}])
    assert main(["compare", str(base), str(change)]) == 2
    assert "base counts operations, change threads" in capsys.readouterr().err


def test_a_mean_says_over_how_many_cells_it_is(base: Path, tmp_path: Path, capsys: Say) -> None:
    part = fabricate(tmp_path / "part", steady, threads=(1,))
    assert main(["compare", str(base), str(part)]) == 3
    assert capsys.readouterr().out.count("1 of 2") == 3
    assert main(["compare", str(part), str(base)]) == 0
    told = capsys.readouterr()
    assert told.out.count("1 of 1") == 3
    assert "part lacks hakmem mid_gap x 8, peer mid_gap x 8" in told.err


def test_runs_under_other_conditions_are_told(base: Path, tmp_path: Path, capsys: Say) -> None:
    change = fabricate(tmp_path / "change", steady, threads=(1, 8))
    amend(base, conditions={"cpu": "a processor", "libc": "glibc 2.36"})
    amend(change, conditions={"libc": "glibc 2.36", "MALLOC_ARENA_MAX": "1"})
    assert main(["compare", str(base), str(change)]) == 0
    said = capsys.readouterr().err
    assert said == "warning: from base to change MALLOC_ARENA_MAX was unset, is 1\n"


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, capsys: Say) -> None:
    runs = [str(fabricate(tmp_path / folder / "run", steady)) for folder in ("old", "new")]
    assert main(["compare", *runs]) == 0
    assert f"throughput over {runs[0]}" in capsys.readouterr().out


def unread(*arguments: object) -> int:
    """The exit code of a command whose output and errors go to a reader that is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "mtbench", *map(str, arguments)]
        return subprocess.run(command, stdout=writer, stderr=writer, timeout=600).returncode
    finally:
        os.close(writer)


def test_a_gate_keeps_its_exit_code_when_its_reader_stops(base: Path, tmp_path: Path) -> None:
    failing = crashed("hakmem", 5)
    change = fabricate(tmp_path / "change", steady, threads=(1, 8), failing=failing)
    assert unread("compare", base, change) == 3
    assert unread("compare", base, base, "--json") == 0
    assert unread("rank", change, "--fail-below", "0.1") == 3
    assert unread("rank", change, "--of", "nobody") == 2


def test_a_sweep_goes_on_when_its_reader_stops(
    tmp_path: Path, library: Callable[[str], Path]
) -> None:
    run = tmp_path / "run"
    refuser = f"refuser={library('refuser')}"
    short = ["-n", 2, "--duration", "0.03", "--warmup", 0, "-v"]
    file = tmp_path / "large.toml"
    sizes = workloads.Sizes("fixed", size=1 << 20)
    file.write_text(
        workloads.Workload("large", "replace", sizes, parameters={"slots": 4}).to_toml()
    )
    code = unread("sweep", "-a", f"system,{refuser}", "-w", file, "-t", 1, *short, "-o", run)
    assert code == 4
    assert (run / "trials.jsonl").read_text().count("\n") == 4
    assert (run / "report.html").exists()
