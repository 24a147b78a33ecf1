"""The run directory: nothing measured is lost, two writers never meet."""

import errno
import gzip
import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mtbench.__main__ import main
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.plan.plan import Plan, grid
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.runs.record import SCHEMA, Record, checked
from tests.support.fabricated import fabricate, manifest

CELLS = grid(("system",), ("w",), (1,))
SOURCES = (("w", "name = 'w'"),)
PLAN = Plan(("system",), ("w",), (1,), 99, 0.5, 0.1, 1, 2, CELLS, sources=SOURCES)


def fields(number: int, **more: object) -> dict[str, Any]:
    kept: dict[str, Any] = {"schema": SCHEMA, "order": number, "block": number}
    kept |= {"allocator": "system", "workload": "w", "threads": 1, "status": "crash"}
    kept |= {"reason": "killed by SIGSEGV", "signal": "SIGSEGV", "exit_code": None}
    return kept | {"stderr_tail": "", "wall_s": 0.1, "result": None} | more


def record(number: int, **more: object) -> Record:
    return checked(fields(number, **more), Record)


def filled(path: Path, count: int) -> Path:
    with RunDirectory.create(path, manifest(PLAN)) as run:
        for number in range(count):
            run.append(record(number))
    return path


def orders(path: Path) -> list[int]:
    return [entry.order for entry in RunDirectory.read(path).records()]


def test_records_come_back_in_the_order_they_were_written(tmp_path: Path) -> None:
    assert orders(filled(tmp_path / "run", 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("tail", [b'{"schema":1,"ord', b"\0\0\0\0", b'{"schema":1}', b"\0\0\n"])
def test_a_torn_last_line_is_ignored_and_removed_on_resume(tmp_path: Path, tail: bytes) -> None:
    path = filled(tmp_path / "run", 3)
    with (path / "trials.jsonl").open("ab") as file:
        file.write(tail)
    assert orders(path) == [0, 1, 2]
    with RunDirectory.resume(path) as run:
        run.append(record(3))
    assert orders(path) == [0, 1, 2, 3]


def test_resume_without_damage_removes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 3)
    before = (path / "trials.jsonl").read_bytes()
    RunDirectory.resume(path).close()
    assert (path / "trials.jsonl").read_bytes() == before


def test_damage_before_the_last_line_is_named_not_skipped(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 3)
    lines = (path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(lines[0] + b"garbage\n" + lines[2])
    with pytest.raises(MtbenchError, match="line 2 is damaged"):
        orders(path)


def test_what_this_version_does_not_know_of_a_manifest_stays(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 1)
    file = path / "manifest.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"note": {"by": "the user"}}))
    with RunDirectory.resume(path) as run:
        run.update(title="another")
    assert json.loads(file.read_text()) == known | {"note": {"by": "the user"}, "title": "another"}


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with (
        RunDirectory.create(tmp_path / "run", manifest(PLAN)),
        pytest.raises(UsageError, match=f"process {os.getpid()}"),
    ):
        RunDirectory.resume(tmp_path / "run")


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 1)
    RunDirectory.resume(path).close()


def test_another_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 1)
    kept = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(kept | {"schema": 7}))
    with pytest.raises(UsageError, match="schema 7; this version reads schema 1"):
        RunDirectory.read(path)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "nonsense"])
def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        RunDirectory.read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_an_existing_run_is_never_overwritten(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 2)
    with pytest.raises(UsageError, match="holds a run already"):
        RunDirectory.create(path, manifest(PLAN))
    assert orders(path) == [0, 1]


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MtbenchError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file" / "run", manifest(PLAN))


def test_a_full_disk_keeps_every_finished_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b"killed" in data:
            write(descriptor, data[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with RunDirectory.create(path, manifest(PLAN)) as run:
        run.append(record(0))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(MtbenchError, match="no space left"):
                run.append(record(50))
        assert (path / "trials.jsonl").read_bytes().endswith(b"\n")
    assert orders(path) == [0]


def _make(parent: Path, queue: Any) -> None:
    with RunDirectory.create(new_path(parent), manifest(PLAN)) as run:
        queue.put(run.path.name)


def test_runs_started_in_one_second_each_have_a_directory(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    starters = [context.Process(target=_make, args=(tmp_path, queue)) for _ in range(6)]
    for starter in starters:
        starter.start()
    names = {queue.get(timeout=60) for _ in starters}
    for starter in starters:
        starter.join()
    assert len(names) == len(starters)


@pytest.mark.parametrize("name", ["trials.jsonl", "lock", "report.html", "summary.csv", "figures"])
def test_a_file_that_a_run_would_replace_keeps_the_run_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine, without a last newline")
    with pytest.raises(UsageError, match=name):
        RunDirectory.create(tmp_path, manifest(PLAN))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine, without a last newline"


def test_a_run_that_ends_before_its_first_trial_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run"
    with pytest.raises(RuntimeError), RunDirectory.create(path, manifest(PLAN)):
        raise RuntimeError
    assert not path.exists()
    with pytest.raises(RuntimeError), RunDirectory.create(path, manifest(PLAN)) as run:
        run.append(record(0))
        raise RuntimeError
    assert orders(path) == [0]


def test_a_run_that_was_moved_says_where_its_trials_are(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunDirectory.create(path, manifest(PLAN)) as run:
        run.append(record(0))
        path.rename(tmp_path / "away")
        with pytest.raises(MtbenchError, match=f"every finished trial is kept in {tmp_path}/away"):
            run.append(record(1))
        with pytest.raises(MtbenchError, match="was moved"):
            run.update(sessions=[])
    assert orders(tmp_path / "away") == [0]
    assert not path.exists()


def test_a_run_that_was_deleted_is_an_error_and_no_empty_report(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunDirectory.create(path, manifest(PLAN)) as run:
        run.append(record(0))
        shutil.rmtree(path)
        with pytest.raises(MtbenchError, match="was deleted while it was measured"):
            run.append(record(1))
        with pytest.raises(MtbenchError, match="was deleted"):
            run.update(sessions=[])
    assert not path.exists()


def packed(path: Path) -> Path:
    file = path / "trials.jsonl"
    (path / "trials.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    return path


def test_packed_records_are_read_as_they_are(tmp_path: Path) -> None:
    assert orders(packed(filled(tmp_path / "run", 3))) == [0, 1, 2]


def test_a_packed_run_is_resumed_after_gunzip_only(tmp_path: Path) -> None:
    path = packed(filled(tmp_path / "run", 3))
    with pytest.raises(UsageError, match="gunzip"):
        RunDirectory.resume(path)
    assert sorted(file.name for file in path.iterdir() if file.name != "lock") == [
        "manifest.json",
        "trials.jsonl.gz",
    ]


@pytest.mark.parametrize("cut", [5, 40])
def test_a_damaged_pack_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = packed(filled(tmp_path / "run", 3)) / "trials.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(MtbenchError, match="is damaged"):
        orders(path.parent)


def test_a_run_without_its_records_is_not_called_empty(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 3)
    (path / "trials.jsonl").unlink()
    with pytest.raises(MtbenchError, match=r"no trials\.jsonl"):
        orders(path)
    with pytest.raises(MtbenchError, match=r"no trials\.jsonl"):
        RunDirectory.resume(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("123", "expected `object`, got `int`"),
        ("[]", "expected `object`, got `array`"),
        ("null", "expected `object`, got `null`"),
        ('"text"', "expected `object`, got `str`"),
        ("[" * 100_000, "line 2 is damaged"),
        (json.dumps(fields(1, block="1")), "block: expected `int`, got `str`"),
        (json.dumps(fields(1, threads=True)), "threads: expected `int`, got `bool`"),
        (json.dumps(fields(1, allocator=None)), "allocator: expected `str`, got `null`"),
        (json.dumps(fields(1, status="ok")), "status is ok, but there is no result"),
        (json.dumps(fields(1, status="ok", result={"operations": 1e400})), "line 2 is damaged"),
        (json.dumps({"schema": SCHEMA, "order": 1}), "has no `block`"),
    ],
)
def test_a_line_that_is_no_record_is_named_with_what_is_wrong(
    tmp_path: Path, line: str, words: str
) -> None:
    path = filled(tmp_path / "run", 3)
    lines = (path / "trials.jsonl").read_text().splitlines()
    (path / "trials.jsonl").write_text(f"{lines[0]}\n{line}\n{lines[2]}\n")
    with pytest.raises(MtbenchError, match="line 2") as caught:
        orders(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trials": 10**9}, "plan.trials is 1000000000, not 1 to"),
        ({"cells": [["other", "w", 1]]}, "plan.cells has other, w, 1"),
        ({"allocators": []}, "allocators are not those of its plan"),
        ({"threads": [1, "2"]}, "plan.threads[1]: expected `int`, got `str`"),
        ({"threads": [1, 2, 2]}, "plan.threads has 2 twice"),
    ],
)
def test_a_manifest_that_is_wrong_is_told_where(
    tmp_path: Path, change: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fabricate(tmp_path / "run", lambda *_: 1e6, threads=(1, 2))
    kept = json.loads((path / "manifest.json").read_text())
    kept["plan"] |= change
    (path / "manifest.json").write_text(json.dumps(kept))
    for command in (["report", str(path)], ["rank", str(path)], ["sweep", "--resume", str(path)]):
        assert main(command) == Exit.USAGE
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
