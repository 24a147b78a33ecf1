"""Odd terminals, names and settings: what was measured is reported all the same."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mtbench.base import written
from tests.support.fabricated import fabricate

ODD = b"q\xff\x01"


def shell(folder: Path, arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """`mtbench ARGUMENTS` as a shell runs it, redirections and all."""
    return subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m mtbench {arguments}"],
        cwd=folder,
        env=os.environ | more,
        capture_output=True,
        check=False,
        timeout=600,
    )


MEASURED = "exec -a system -n 2 -o run --json -- sleep 0.5"


def test_progress_does_not_land_in_the_results_of_a_closed_stderr(tmp_path: Path) -> None:
    done = shell(tmp_path, f"{MEASURED} 2>&-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["failed_trials"] == 0
    lines = (tmp_path / "run" / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["block"] for line in lines] == [0, 1]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stdout_changes_nothing_that_is_kept(tmp_path: Path, closed: str) -> None:
    done = shell(tmp_path, f"{MEASURED} {closed}")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    lines = (tmp_path / "run" / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["block"] for line in lines] == [0, 1]


def test_a_full_output_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = shell(tmp_path, "list sizes >/dev/full")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_a_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    mtbench = shlex.quote(str(Path(sys.executable).with_name("mtbench")))
    command = f"cd gone; rmdir ../gone; {mtbench} sweep -a system -o it"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False, timeout=600
    )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"the folder that this was started in is no more" in done.stderr


def test_names_that_are_no_text_and_a_plain_terminal_do_not_stop_a_report(tmp_path: Path) -> None:
    name = os.fsdecode(ODD)
    fabricate(tmp_path / name, lambda *_: 1e6, allocators=("system",), threads=(1, 2), trials=2)
    odd = "$'q\\xff\\x01'"
    formats = "--format html,csv,md,svg"
    done = shell(tmp_path, f"report {odd} --title {odd} {formats}", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
    assert "q\\udcff\\x01" in page
    assert "\x01" not in page
    shown = shell(tmp_path, f"report {odd} --markdown", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0, shown.stderr


def test_a_program_with_words_that_are_no_text_is_measured_and_resumed(tmp_path: Path) -> None:
    words = "sh -c 'sleep 0.5; test -z \"$2\"' $'x\\xff' $'\\xe4' ''"
    done = shell(tmp_path, f"exec -a system -n 2 -o run --name $'\\xe4' -- {words}")
    assert done.returncode == 0, done.stderr
    trials = tmp_path / "run" / "trials.jsonl"
    trials.write_bytes(trials.read_bytes().splitlines(keepends=True)[0])
    again = shell(tmp_path, "exec --resume run --json -q", PYTHONIOENCODING="ascii")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["cells"][0]["trials"] == 2


def test_figures_are_drawn_from_the_librarys_own_settings(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "run", lambda *_: 1e6, allocators=("system",), threads=(1, 2))
    wish = "report run --format svg,png --dpi 40 -q"
    assert shell(tmp_path, wish).returncode == 0
    plain = {file.name: file.read_bytes() for file in (run / "figures").iterdir()}
    settings = "text.usetex: True\nlines.linewidth: 20\nbackend: tkagg\naxes.grid: True\n"
    (tmp_path / "matplotlibrc").write_text(settings)
    backend = "of-a-notebook"
    done = shell(tmp_path, wish, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert {file.name: file.read_bytes() for file in (run / "figures").iterdir()} == plain


def test_a_home_that_keeps_no_caches_is_not_told_of(tmp_path: Path) -> None:
    fabricate(tmp_path / "run", lambda *_: 1e6, allocators=("system",), threads=(1, 2))
    done = shell(tmp_path, "report run -q", HOME="/proc", XDG_CACHE_HOME="", XDG_CONFIG_HOME="")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    written.write_whole(file, "before")

    def fails(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError):
        written.write_whole(file, "after")
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    written.write_whole(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()
