"""Programs of the catalogue and of files, several at once: equal output, threads, measures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plots
from mtbench.analysis import suite
from mtbench.commands.report import load
from mtbench.mallocs.allocators import resolve_all
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.directory import RunDirectory
from plots.data import PROGRAM_MEASURES, Program
from tests.mtbench.conftest import Command

Records = list[dict[str, Any]]
QUIET = ("--no-progress", "-o", "run")
NAP = "perl -e 'select undef, undef, undef, 0.3;"
"""Long enough to be looked at."""


def own(folder: Path, name: str, command: str, **more: object) -> str:
    """A TOML file of a program."""
    lines = [f"name = {json.dumps(name)}", 'stands_for = "a test"']
    lines += [f"command = {json.dumps(command)}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in more.items() if key != "inputs"]
    for file, text in (more.get("inputs") or {}).items():  # type: ignore[attr-defined]
        lines += ["[inputs]", f"{json.dumps(file)} = {{ text = {json.dumps(text)} }}"]
    (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
    return f"{name}.toml"


def records(run: Path) -> Records:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def test_programs_of_the_catalogue_write_the_same_under_every_malloc(
    command: Command, tmp_path: Path
) -> None:
    here = [name for name in ("perl", "sqlite", "jq", "gcc", "make") if _runs(command, name)][:3]
    done = command("exec", "-p", ",".join(here), "-n", 1, *QUIET)
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "run")
    labels = {entry.label for entry in resolve_all(["all"]) if entry.kind != "null"}
    assert len(found) == len(here) * len(labels)
    for name in here:
        wrote = {r["result"]["program"]["output"] for r in found if r["workload"] == name}
        assert len(wrote) == 1 and len(wrote.pop()) == 64, name


def _runs(command: Command, name: str) -> bool:
    rows = json.loads(command("list", "programs", name, "--json").stdout)["programs"]
    return [row["here"] for row in rows] == ["yes"]


def test_a_program_that_writes_something_else_under_one_malloc_is_no_number(
    command: Command, tmp_path: Path
) -> None:
    told = own(tmp_path, "liar", f"{NAP} print $ENV{{LD_PRELOAD}} =~ /hakmem/ ? 1 : 0'")
    done = command("exec", "-a", "system,hakmem", "-n", 2, "-p", told, *QUIET)
    assert done.returncode == 4
    ends = {(r["allocator"], r["status"]) for r in records(tmp_path / "run")}
    assert ends == {("system", "ok"), ("hakmem", "violation")}
    assert "its output is not that of a run without a preloaded malloc" in done.stderr


def test_a_program_that_fails_anyway_is_told_so(command: Command, tmp_path: Path) -> None:
    told = own(tmp_path, "broken", f"{NAP} die qq(no such thing\\n)'")
    done = command("exec", "-a", "system,hakmem", "-n", 1, "-p", told, *QUIET)
    assert done.returncode == 4
    assert "without a preloaded malloc, too: exit code" in done.stderr
    assert "no such thing" in done.stderr and "Traceback" not in done.stderr


def test_inputs_lie_in_a_folder_of_its_own_that_goes_away(command: Command, tmp_path: Path) -> None:
    text = f"{NAP} use Cwd; print getcwd; open my $f, q(<), q(it) or die; print <$f>'"
    told = own(tmp_path, "reader", text, inputs={"it": "words"}, check="")
    before = sorted(tmp_path.iterdir())
    done = command("exec", "-a", "system", "-n", 2, "-p", told, "--metric", "x", *QUIET)
    assert done.returncode == 2 and "--metric is of a typed program" in done.stderr
    assert sorted(tmp_path.iterdir()) == before
    done = command("exec", "-a", "system", "-n", 2, "-p", told, "-v", *QUIET)
    assert done.returncode == 0, done.stderr
    assert not list(Path("/tmp").glob("mtbench-programs-*/reader"))


def test_threads_are_an_axis_where_a_program_has_one(command: Command, tmp_path: Path) -> None:
    one = own(tmp_path, "axis", f"{NAP} print {{threads}} * 0'")
    two = own(tmp_path, "none", f"{NAP} print 0'")
    done = command("exec", "-a", "system", "-n", 1, "-p", f"{one},{two}", "-t", "1,3", *QUIET)
    assert done.returncode == 0, done.stderr
    cells = sorted((r["workload"], r["threads"]) for r in records(tmp_path / "run"))
    assert cells == [("axis", 1), ("axis", 3), ("none", 1)]
    assert "\naxis × 3 " in done.stdout
    document = json.loads(command("exec", "--resume", "run", "--json", "-q").stdout)
    assert sorted(document["tallies"]) == ["axis × 1", "none"]
    refused = command("exec", "-a", "system", "-t", "1,2", "--", "true")
    assert refused.returncode == 2 and "{threads} in the command" in refused.stderr


def test_a_program_without_a_number_of_threads_runs_at_one(
    command: Command, tmp_path: Path
) -> None:
    one = own(tmp_path, "axis", f"{NAP} print {{threads}} * 0'")
    two = own(tmp_path, "none", f"{NAP} print 0'")
    note = own(tmp_path, "bad", f"{NAP} exit 3'")
    done = command(
        "exec", "-a", "system", "-n", 1, "-p", f"{one},{two},{note}", "-t", "2,3", *QUIET
    )
    run = tmp_path / "run"
    wanted = [("axis", 2), ("axis", 3), ("bad", 1), ("none", 1)]
    assert sorted((r["workload"], r["threads"]) for r in records(run)) == wanted
    plan = RunDirectory.read(run).manifest.plan
    assert plan.threads == (1, 2, 3) and plan.counts("axis") == (2, 3)
    # What is not threaded is no program of several threads to any reader.
    _, _, shown = load(run)
    assert [program.name for program in shown.programs] == ["axis × 2", "axis × 3", "none", "bad"]
    assert "bad, 1 thread" in plots.markdown(shown)
    assert shown.programs[0].tally and not shown.programs[1].tally and shown.programs[2].tally
    (run / "trials.jsonl").write_text("")
    done = command("exec", "--resume", "run", "--json", "--no-progress")
    assert done.returncode == 4 and "4 runs into" in done.stderr, done.stderr
    assert sorted((r["workload"], r["threads"]) for r in records(run)) == wanted
    assert sorted(json.loads(done.stdout)["tallies"]) == ["axis × 2", "none"]


def test_one_run_is_one(command: Command, tmp_path: Path) -> None:
    bad = ("perl", "-e", "exit 3")
    done = command("exec", "-a", "system", "-n", 1, *QUIET, "--", *bad)
    assert done.returncode == 4
    assert "1 run into" in done.stderr and "1 run failed; the first: system" in done.stderr
    assert any(
        entry.text == "1 run failed, under system." for entry in load(tmp_path / "run")[2].findings
    )


def test_a_typed_command_keeps_its_braces_unless_threads_are_asked_for(
    command: Command, tmp_path: Path
) -> None:
    words = ("perl", "-e", "select undef, undef, undef, 0.3; print q({threads})")
    for more, wrote in (((), "{threads}"), (("-t", "2"), "2")):
        folder = f"run{len(more)}"
        metric = ("--metric", "told=((?:[0-9]|{threads}))")
        done = command("exec", "-a", "system", "-n", 1, *more, *metric, "--no-progress", "-o",
                       folder, "--", *words)  # fmt: skip
        reason = records(tmp_path / folder)[0]["reason"]
        assert (done.returncode == 0) == (wrote == "2"), done.stderr
        assert wrote == "2" or "'{threads}'" in reason


def test_rounds_are_counted_for_what_comes_before_and_after_a_run(
    command: Command, tmp_path: Path
) -> None:
    note = 'echo "$MTBENCH_ROUND $MTBENCH_ALLOCATOR" >> '
    done = command("exec", "-a", "system,hakmem", "-n", 2, "--prepare", f"{note}before",
                   "--conclude", f"{note}after", *QUIET, "--", "perl", "-e",
                   "select undef, undef, undef, 0.3")  # fmt: skip
    assert done.returncode == 0, done.stderr
    rounds = [f"{n} {label}" for n in (1, 2) for label in ("hakmem", "system")]
    # One run more, before the first round: what it asks of its malloc.
    wanted = ["0 tally", *sorted(rounds)]
    for file in ("before", "after"):
        assert sorted((tmp_path / file).read_text().splitlines()) == wanted


def test_standard_input_is_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("41\n")
    code = "print q(told=), <STDIN> + 1; select undef, undef, undef, 0.3"
    done = command("exec", "-a", "system", "-n", 1, "--stdin", "given", "--metric",
                   r"told=(\d+)", *QUIET, "--", "perl", "-e", code)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert records(tmp_path / "run")[0]["result"]["program"]["numbers"] == {"told": 42.0}
    done = command("exec", "-a", "system", "--stdin", "nowhere", "--", "cat")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--stdin nowhere: no such file" in done.stderr


def test_a_run_that_holds_too_much_is_ended_and_named(command: Command, tmp_path: Path) -> None:
    code = "my $x = q(a) x (200 << 20); select undef, undef, undef, 5"
    done = command("exec", "-a", "system", "-n", 1, "--memory", "100M", *QUIET, "--", "perl", "-e",
                   code)  # fmt: skip
    (record,) = records(tmp_path / "run")
    assert (done.returncode, record["status"]) == (4, "refused")
    assert re.match(r"ended by mtbench: it held \d+ MiB, ", record["reason"])
    assert record["reason"].endswith("more than --memory 100 MiB")


def test_what_is_compared_can_be_chosen(command: Command, tmp_path: Path) -> None:
    words = ("--", "perl", "-e", "my $x = q(a) x (20 << 20); select undef, undef, undef, 0.3")
    done = command("exec", "-a", "system,hakmem", "-n", 3, "--by", "peak", *QUIET, *words)
    assert done.returncode == 0, done.stderr
    assert "peak memory / system" in done.stdout
    for record in records(tmp_path / "run"):
        result = record["result"]
        assert result["elapsed_s"] == result["program"]["rss_peak"]


def test_a_variant_has_an_environment_of_its_own(command: Command, tmp_path: Path) -> None:
    code = "select undef, undef, undef, 0.3; print q(told=), $ENV{MALLOC_ARENA_MAX} || 7"
    wanted = r"system,one=system,MALLOC_ARENA_MAX=1,hakmem,HAKMEM_IDLE=0"
    done = command("exec", "-a", wanted, "-n", 1, "--metric", r"told=(\d)", *QUIET, "--", "perl",
                   "-e", code)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = {
        r["allocator"]: r["result"]["program"]["numbers"]["told"] for r in records(tmp_path / "run")
    }
    assert told == {"system": 7.0, "one": 1.0, "hakmem,HAKMEM_IDLE=0": 7.0}
    kept = json.loads((tmp_path / "run" / "manifest.json").read_text())["allocators"]
    assert {"MALLOC_ARENA_MAX": "1"} in [entry["environment"] for entry in kept]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "nothing"), "unknown program 'nothing'; accepted: perl"),
        (("-p", "nothing.toml"), "nothing.toml: cannot be read"),
        (("-p", "perl", "--", "true"), "exec takes -p or a typed program, not both"),
        (("-p", "perl", "-t", "0"), "thread list '0'"),
        (("-p", "perl", "-t", "2"), "perl has no number of threads; accepted: python_threads,"),
        (("--by", "colour", "--", "true"), "invalid choice: 'colour'"),
        (("-a", "system,LD_PRELOAD=/x", "--", "true"), "LD_PRELOAD decides which malloc serves"),
        (("-a", "system,X=1,X=2", "--", "true"), "X is given twice"),
        (("-a", "one=nothing", "--", "true"), "no library at nothing"),
    ],
)
def test_wrong_use_is_one_line(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = command("exec", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_program_is_left_out_and_told(command: Command, tmp_path: Path) -> None:
    lost = own(tmp_path, "lost", "no-such-program-here", packages=["no-such"])
    here = own(tmp_path, "here", f"{NAP} print 0'")
    run = tmp_path / "run"
    done = command("exec", "-a", "system", "-n", 1, "-p", f"{lost},{here}", "-o", run, *QUIET)
    assert done.returncode == 0
    why = "not installed: no-such-program-here; apt install no-such"
    assert RunDirectory.read(run).manifest.left_out == {"lost": why}
    assert f"left out: lost: {why}\n" in done.stderr
    assert "Left out, as they cannot run here: lost." in (run / "report.html").read_text()
    done = command("exec", "-a", "system", "-p", lost)
    assert done.returncode == 1 and "none of these programs can run here: lost:" in done.stderr


WALL = PROGRAM_MEASURES[0]
PLAN = Plan(("system", "a", "b"), ("p", "q"), (1,), 3, 0.0, 0.0, 1, 2, ())
SHOWN = (Program("p", "p", 1, "p", WALL), Program("q", "q", 1, "q", WALL))


def used(*wall: float) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    values = np.array(wall)
    return {"wall_s": values, "cpu_s": values, "rss_peak": values}


def test_means_over_programs_are_geometric_and_over_the_same_programs() -> None:
    measured = {
        Cell("system", "p", 1): used(1, 1, 1),
        Cell("system", "q", 1): used(2, 2, 2),
        Cell("a", "p", 1): used(2, 2, 2),
        Cell("a", "q", 1): used(1, 1, 1),
        Cell("b", "p", 1): used(0.5, 0.5, 0.5),
        Cell("b", "q", 1): used(1, 1, 1),
    }
    rows = {row.allocator: row for row in suite.rows(measured, PLAN, SHOWN, "system")}
    assert rows["a"].measure("leading").value == pytest.approx(1.0)
    assert rows["b"].measure("leading").value == pytest.approx(0.5)
    # Without q under b, q counts for nobody.
    measured[Cell("b", "q", 1)] = {"wall_s": np.full(3, math.nan)}
    rows = {row.allocator: row for row in suite.rows(measured, PLAN, SHOWN, "system")}
    assert rows["a"].measure("leading").value == pytest.approx(2.0)
    assert rows["a"].programs == 1 and rows["a"].without == ("q (b)",)


def test_a_number_of_which_more_is_better_counts_as_a_time() -> None:
    from plots.data import Metric

    rate = Metric("rate", "rate", "", "higher", "")
    shown = (SHOWN[0], Program("q", "q", 1, "q", rate))
    same = used(1, 1, 1)
    measured = {
        Cell("system", "p", 1): same,
        Cell("system", "q", 1): same | {"rate": np.array([100.0] * 3)},
        Cell("a", "p", 1): same,
        Cell("a", "q", 1): same | {"rate": np.array([400.0] * 3)},
    }
    plan = Plan(("system", "a"), ("p", "q"), (1,), 3, 0.0, 0.0, 1, 2, ())
    rows = {row.allocator: row for row in suite.rows(measured, plan, shown, "system")}
    assert rows["a"].measure("leading").value == pytest.approx(0.5)


def test_a_run_of_several_programs_has_a_suite_in_its_report(
    command: Command, tmp_path: Path, library: Callable[[str], Path]
) -> None:
    files = [own(tmp_path, name, f"{NAP} print 0'") for name in ("one", "two")]
    done = command("exec", "-a", f"system,hakmem,good={library('good')}", "-n", 3, "-p",
                   ",".join(files), *QUIET)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Over 2 programs hakmem takes" in done.stdout and "all programs" in done.stdout
    folder = tmp_path / "run" / "figures"
    names = {path.stem for path in folder.iterdir()}
    assert names == {"suite", "suite-cells", "program-one", "program-two"}
    _, _, run = load(tmp_path / "run")
    assert [row.programs for row in run.suite] == [2, 2, 2]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<h3>one</h3>" in page and "<h3>two</h3>" in page
    assert "2 programs, geometric means:" in plots.markdown(run)
    text = (tmp_path / "run" / "summary.csv").read_text().splitlines()
    assert len(text) == 1 + 2 * 3 and text[0].startswith("allocator,program,name,threads")
    document = json.loads(command("exec", "--resume", "run", "--json", "-q").stdout)
    assert [row["programs"] for row in document["suite"]] == [2, 2, 2]


def test_a_reference_run_has_no_malloc_to_prove(command: Command, tmp_path: Path) -> None:
    """Children that end unseen leave the malloc of a run unproven, but not of one without."""
    own(tmp_path, "brief", "sh many.sh", inputs={"many.sh": "/bin/true\n" * 300})
    done = command("exec", "-a", "system", "-n", 1, "-p", "brief.toml", *QUIET)
    assert done.returncode in (0, 4), done.stderr
    (record,) = records(tmp_path / "run")
    assert "without a preloaded malloc" not in (record["reason"] or "")
