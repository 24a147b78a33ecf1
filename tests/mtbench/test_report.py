"""`mtbench report`: what is asked for is written, nothing else, and bad wishes are named."""

from dataclasses import replace
from pathlib import Path

import pytest

from mtbench.__main__ import main
from mtbench.commands.report import _unit_line
from tests.support.fabricated import fabricate
from tools import specimen


def steady(label: str, workload: str, threads: int) -> float:
    """Operations per second of a made-up run."""
    return {"system": 10e6, "hakmem": 20e6, "peer": 16e6}[label] * min(threads, 2)


def test_every_format_is_written_beside_the_others(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", steady)
    out = tmp_path / "out"
    assert (
        main(["report", str(run), "-o", str(out), "--format", "html,md,csv,svg,png,pdf", "-q"]) == 0
    )
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "report.md",
        "summary.csv",
        "figures",
        ".mtbench-files",
    }
    assert {path.suffix for path in (out / "figures").iterdir()} == {".svg", ".png", ".pdf"}


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", steady)
    out = tmp_path / "out"
    assert main(["report", str(run), "-o", str(out), "--format", "md", "-q"]) == 0
    assert {path.name for path in out.iterdir()} == {"report.md", ".mtbench-files"}


def test_a_png_has_the_width_and_resolution_asked_for(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", steady)
    out = tmp_path / "out"
    wish = ["--format", "png", "--width", "254", "--dpi", "50"]
    assert main(["report", str(run), "-o", str(out), *wish, "-q"]) == 0
    pictures = sorted((out / "figures").glob("throughput*.png"))
    widths = {int.from_bytes(path.read_bytes()[16:20], "big") for path in pictures}
    assert widths == {500}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["--format", "gif"], "accepted: html, csv, md, svg, png, pdf"),
        (["--format", ","], "accepted: html, csv, md, svg, png, pdf"),
        (["--width", "3"], "accepted: 100 to 1000"),
        (["--format", "png", "--dpi", "5000"], "accepted: 30 to 1200"),
    ],
)
def test_an_impossible_wish_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: list[str], said: str
) -> None:
    run = fabricate(tmp_path / "run", steady)
    assert main(["report", str(run), "-o", str(tmp_path / "out"), *wish]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_is_not_the_tools_own_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fabricate(tmp_path / "run", steady)
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    mine = out / "report.html", out / "figures" / "mine.svg"
    for path in mine:
        path.write_text("mine")
    assert main(["report", str(run), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"{mine[0]} was not written by this tool" in said
    assert said.count("\n") == 1
    assert {path for path in out.rglob("*") if path.is_file()} == set(mine)
    mine[0].unlink()
    assert main(["report", str(run), "-o", str(out), "-q"]) == 0
    assert mine[1].read_text() == "mine"
    assert mine[0].stat().st_size > 1000


def test_a_report_replaces_its_own_files_but_not_those_that_were_changed(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", steady)
    assert main(["report", str(run), "-q"]) == 0
    assert main(["report", str(run), "--format", "html,png", "--dpi", "40", "-q"]) == 0
    assert {path.suffix for path in (run / "figures").iterdir()} == {".png"}
    page = run / "report.html"
    page.write_text(page.read_text(encoding="utf-8") + "<!-- my notes -->", encoding="utf-8")
    assert main(["report", str(run), "-q"]) == 2
    assert page.read_text(encoding="utf-8").endswith("<!-- my notes -->")
    assert {path.suffix for path in (run / "figures").iterdir()} == {".png"}


def test_runs_of_one_name_each_have_their_files(tmp_path: Path) -> None:
    runs = [fabricate(tmp_path / part / "run", steady, threads=(1,)) for part in ("a", "b")]
    out = tmp_path / "out"
    wish = ["-o", str(out), "--format", "csv,svg", "-q"]
    assert main(["report", *map(str, runs), *wish]) == 0
    assert {path.name for path in out.glob("*.csv")} == {"summary-1-run.csv", "summary-2-run.csv"}
    assert {path.name for path in (out / "figures").iterdir()} == {"1-run", "2-run"}


def test_a_report_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", steady)
    assert main(["report", str(run), "-q"]) == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["report", str(run), "--format", "html,png", "--dpi", "5000", "-q"]) == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_table_does_not_claim_trials_that_an_interrupted_run_has_not() -> None:
    whole = specimen.run(trials=5)
    some = replace(whole, cells=(replace(whole.cells[0], trials=2), *whole.cells[1:]))
    assert _unit_line(whole).endswith("medians of 5")
    assert _unit_line(some).endswith("medians of up to 5")
