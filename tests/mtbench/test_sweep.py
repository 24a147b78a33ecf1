"""The main job as a user runs it: nothing lost, nothing repeated, failures told."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Library = Callable[[str], Path]
SHORT = ("--duration", "0.05", "--warmup", "0", "--no-progress")


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def keys(run: Path) -> list[tuple[Any, ...]]:
    return [(r["block"], r["allocator"], r["workload"], r["threads"]) for r in records(run)]


def test_a_sweep_measures_its_grid_proves_its_libraries_and_reports(
    command: Command, tmp_path: Path
) -> None:
    done = command(
        "sweep",
        "-a",
        "system,hakmem,null",
        "-w",
        "mid_gap",
        "-t",
        "1-2",
        "-n",
        3,
        *SHORT,
        "-o",
        "run",
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert len(records(run)) == 18 and len(set(keys(run))) == 18
    for entry in records(run):
        assert entry["status"] == "ok"
        assert ("libhakmem" in entry["identity"]["path"]) == (entry["allocator"] == "hakmem")
        assert len(entry["identity"]["sha256"]) == 64
    assert "report: run/report.html" in done.stdout
    assert "mid_gap" in done.stdout and "hakmem" in done.stdout
    page = (run / "report.html").read_text()
    assert "<svg" in page and "hakmem" in page
    rows = (run / "summary.csv").read_text().splitlines()
    assert len(rows) == 1 + 6
    assert list((run / "figures").glob("*.svg"))


def test_crashing_and_hanging_allocators_become_failures_and_the_rest_stands(
    command: Command, tmp_path: Path, library: Library
) -> None:
    done = command(
        "sweep",
        "-a",
        f"system,crash={library('crash')},hang={library('hang')}",
        "-w",
        "mid_gap",
        "-t",
        "2",
        "-n",
        2,
        "--duration",
        "1",
        "--warmup",
        "0",
        "--timeout",
        "6",
        "--no-progress",
        "-o",
        "run",
    )
    assert done.returncode == 4, done.stderr
    found = {(r["allocator"], r["status"]) for r in records(tmp_path / "run")}
    assert found == {("system", "ok"), ("crash", "crash"), ("hang", "timeout")}
    crash = next(r for r in records(tmp_path / "run") if r["allocator"] == "crash")
    assert crash["signal"] == "SIGSEGV" and "heap is broken" in crash["stderr_tail"]
    assert crash["wall_s"] > 0 and crash["result"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "SIGSEGV" in page and "failed" in done.stdout
    assert "4 trials failed in 2 cells" in done.stderr


def test_kill_nine_at_random_moments_loses_only_the_trial_in_flight(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = ["-a", "system", "-w", "mid_gap", "-t", "1,2", "-n", "40", *SHORT, "-o", str(run)]
    generator = random.Random(20)
    kept: list[str] = []
    for attempt in range(10):
        arguments = first if attempt == 0 else ["--resume", str(run), "--no-progress"]
        process = subprocess.Popen(
            [sys.executable, "-m", "mtbench", "sweep", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        deadline = time.monotonic() + 300
        while not (run / "manifest.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(generator.uniform(0.1, 1.0))
        process.kill()
        process.wait()
        lines = (run / "trials.jsonl").read_bytes().split(b"\n")[:-1]
        assert [line.decode() for line in lines][: len(kept)] == kept
        kept = [line.decode() for line in lines]
    done = subprocess.run(
        [sys.executable, "-m", "mtbench", "sweep", "--resume", str(run), "--no-progress", "-q"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (run / "trials.jsonl").read_text().splitlines()[: len(kept)] == kept
    assert len(keys(run)) == len(set(keys(run))) == 80


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_sweep_keeps_and_reports_what_it_has(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mtbench",
            "sweep",
            "-a",
            "system",
            "-w",
            "mid_gap",
            "-t",
            "1",
            "-n",
            "400",
            *SHORT,
            "-o",
            str(run),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever started the tests in the background may have had it ignored: nohup, a shell's &.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 300
    trials = run / "trials.jsonl"
    while time.monotonic() < deadline:
        if trials.exists() and trials.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.05)
    process.send_signal(number)
    output, complaint = process.communicate(timeout=300)
    assert process.returncode == 128 + number, complaint
    assert 3 <= len(records(run)) < 400
    assert (run / "report.html").exists() and "report: " in output
    assert f"--resume {run}" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sweep", "-a", "nonsense"), "unknown allocator 'nonsense'; accepted: system"),
        (("sweep", "-w", "nonsense"), "unknown workload 'nonsense'; accepted: mid_gap"),
        (("sweep", "-w", "missing.toml"), "no workload file at missing.toml"),
        (("sweep", "-t", "x"), "thread list 'x'"),
        (("sweep", "-n", "0"), "0 is not a number of trials, 1-10000"),
        (("sweep", "-n", "many"), "invalid whole number value: 'many'"),
        (("sweep", "--colour"), "unrecognized arguments: --colour"),
        (("sweep", "--resume", "nowhere"), "nowhere is no run directory"),
        (("sweep", "--resume", "nowhere", "-n", "3"), "--trials does not go with it"),
        (("run", "-t", "9999"), "accepted: 1-256"),
        (("run", "-a", "all"), "run measures one allocator"),
        (("report", "nowhere"), "nowhere is no run directory"),
        (("compare", "nowhere"), "compare needs two runs"),
        (("rank", "nowhere"), "nowhere is no run directory"),
        (("list", "colours"), "invalid choice: 'colours'"),
        (("dance",), "invalid choice: 'dance'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_changed_library_is_not_resumed(
    command: Command, tmp_path: Path, library: Library
) -> None:
    mine = tmp_path / "libmine.so"
    mine.write_bytes(library("good").read_bytes())
    first = command(
        "sweep", "-a", f"mine={mine}", "-w", "mid_gap", "-t", "1", "-n", 1, *SHORT, "-o", "run"
    )
    assert first.returncode == 0, first.stderr
    mine.unlink()
    mine.write_bytes(library("flood").read_bytes())
    again = command("sweep", "--resume", "run")
    assert again.returncode == 1
    assert "is not the library this run began with" in again.stderr


def test_run_prints_one_cell_as_json(command: Command) -> None:
    cell = ("-a", "system", "-w", "mid_gap", "-t", 2, "-n", 2)
    done = command("run", *cell, *SHORT, "--duration", 0.3, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["metrics"]["throughput"]["value"] > 0
    assert [entry["status"] for entry in document["records"]] == ["ok", "ok"]


def test_results_pipe_into_a_reader_that_stops_early(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m mtbench list | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert done.stderr == ""
