"""compare and rank: what is said of known numbers, and when the gate says no."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mtbench.__main__ import main
from tests.support.fabricated import fabricate


def steady(label: str, workload: str, threads: int) -> float:
    return {"system": 10e6, "hakmem": 20e6, "peer": 16e6, "null": 90e6}[label] * min(threads, 2)


def slower_at(threads: int, factor: float) -> Callable[[str, str, int], float]:
    return lambda label, workload, count: (
        steady(label, workload, count) * (factor if count == threads else 1)
    )


Say = pytest.CaptureFixture[str]


def test_a_run_compared_with_its_like_shows_no_difference(tmp_path: Path, capsys: Say) -> None:
    runs = [str(fabricate(tmp_path / name, steady)) for name in ("one", "two")]
    assert main(["compare", *runs]) == 0
    output = capsys.readouterr().out
    assert output.count("no difference seen") == 9
    assert "faster" not in output and "slower" not in output


@pytest.mark.parametrize("trials", [5, 10])
def test_a_regression_beyond_the_threshold_is_exit_code_three(
    tmp_path: Path, capsys: Say, trials: int
) -> None:
    base = fabricate(tmp_path / "base", steady, trials=trials)
    other = fabricate(tmp_path / "other", slower_at(8, 0.9), trials=trials)
    assert main(["compare", str(base), str(other)]) == 3
    told = capsys.readouterr()
    assert told.out.count("slower (regression)") == 3
    assert "3 cells are slower by more than 5 %" in told.err
    assert main(["compare", str(base), str(other), "--threshold", "0.2"]) == 0
    assert main(["compare", str(other), str(base)]) == 0


def test_a_threshold_below_the_noise_threshold_holds(tmp_path: Path, capsys: Say) -> None:
    base = fabricate(tmp_path / "base", steady, trials=10)
    other = fabricate(tmp_path / "other", slower_at(8, 0.985), trials=10)
    assert main(["compare", str(base), str(other)]) == 0
    assert main(["compare", str(base), str(other), "--threshold", "0.01"]) == 3
    assert "3 cells are slower by more than 1 %" in capsys.readouterr().err


def test_too_few_trials_are_said_not_guessed(tmp_path: Path, capsys: Say) -> None:
    base = fabricate(tmp_path / "base", steady, trials=2)
    other = fabricate(tmp_path / "other", slower_at(8, 0.5), trials=2)
    assert main(["compare", str(base), str(other)]) == 0
    assert capsys.readouterr().out.count("too few trials") == 9


def test_runs_of_different_machines_are_refused_unless_asked(tmp_path: Path, capsys: Say) -> None:
    base = fabricate(tmp_path / "base", steady)
    other = fabricate(tmp_path / "other", steady, host="there")
    assert main(["compare", str(base), str(other)]) == 2
    assert "--across-machines" in capsys.readouterr().err
    assert main(["compare", str(base), str(other), "--across-machines"]) == 0
    assert "warning: " in capsys.readouterr().err


def test_another_build_is_told(tmp_path: Path, capsys: Say) -> None:
    base = fabricate(tmp_path / "base", steady)
    other = fabricate(tmp_path / "other", steady, sha256="b" * 64)
    assert main(["compare", str(base), str(other)]) == 0
    assert "hakmem is another build in other" in capsys.readouterr().err


def test_three_runs_are_each_held_against_the_first_in_every_format(
    tmp_path: Path, capsys: Say
) -> None:
    runs = [str(fabricate(tmp_path / name, steady)) for name in ("a", "b", "c")]
    assert main(["compare", *runs, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["cells"]) == 18 and document["base"] == "a"
    assert main(["compare", *runs, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["run"] for row in rows} == {"b", "c"}
    assert main(["compare", *runs, "--format", "markdown"]) == 0
    assert "| --- |" in capsys.readouterr().out


def test_rank_holds_each_cell_against_the_best_other_worst_first(
    tmp_path: Path, capsys: Say
) -> None:
    run = fabricate(
        tmp_path / "run",
        slower_at(8, 1.0),
        allocators=("system", "hakmem", "peer", "null"),
        memory=lambda label: {"hakmem": 50 << 20}.get(label, 100 << 20),
    )
    assert main(["rank", str(run), "--of", "hakmem", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {cell["best"] for cell in document["cells"]} == {"peer"}
    ratios = [cell["ratio"]["value"] for cell in document["cells"]]
    assert ratios == sorted(ratios)
    assert ratios == pytest.approx([1.25] * 3, rel=0.02)
    assert document["geometric_mean"]["value"] == pytest.approx(1.25, rel=0.02)
    assert document["cells"][0]["memory_ratio"]["value"] == pytest.approx(60 / 110)


def test_rank_fails_below_the_limit_and_names_the_cells(tmp_path: Path, capsys: Say) -> None:
    run = fabricate(tmp_path / "run", steady)
    assert main(["rank", str(run), "--fail-below", "1.0"]) == 0
    assert main(["rank", str(run), "--fail-below", "1.5"]) == 3
    assert "mid_gap x 8 (1.2" in capsys.readouterr().err
    assert main(["rank", str(run), "--of", "peer", "--fail-below", "1.0"]) == 3


def test_variants_of_hakmem_are_no_rivals_of_hakmem(tmp_path: Path, capsys: Say) -> None:
    run = fabricate(
        tmp_path / "run",
        lambda label, w, t: 50e6 if label == "hakmem:route=cascade" else steady(label, w, t),
        allocators=("system", "hakmem", "hakmem:route=cascade"),
    )
    assert main(["rank", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {cell["best"] for cell in document["cells"]} == {"system"}
    assert main(["rank", str(run), "--against", "hakmem:route=cascade", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {cell["best"] for cell in document["cells"]} == {"hakmem:route=cascade"}


def test_an_unknown_allocator_is_refused_with_those_of_the_run(tmp_path: Path, capsys: Say) -> None:
    run = fabricate(tmp_path / "run", steady)
    assert main(["rank", str(run), "--of", "other"]) == 2
    assert "accepted: system, hakmem, peer" in capsys.readouterr().err
