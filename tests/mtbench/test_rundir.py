"""The run directory: nothing measured is lost, two writers never meet."""

import errno
import json
import os
from pathlib import Path

import pytest

from mtbench.errors import MtbenchError, UsageError
from mtbench.rundir import SCHEMA, RunDirectory


def record(number: int) -> dict[str, object]:
    return {"schema": SCHEMA, "order": number, "text": "x" * number}


def filled(path: Path, count: int) -> Path:
    with RunDirectory.create(path, {"plan": {}}) as run:
        for number in range(count):
            run.append(record(number))
    return path


def orders(path: Path) -> list[int]:
    return [entry["order"] for entry in RunDirectory.read(path).records()]


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


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with (
        RunDirectory.create(tmp_path / "run", {"plan": {}}),
        pytest.raises(UsageError, match=f"process {os.getpid()}"),
    ):
        RunDirectory.resume(tmp_path / "run")


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 1)
    RunDirectory.resume(path).close()


def test_another_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"schema": 7}))
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
        RunDirectory.create(path, {"plan": {}})
    assert orders(path) == [0, 1]


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MtbenchError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file" / "run", {"plan": {}})


def test_a_full_disk_keeps_every_finished_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 40:
            write(descriptor, data[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with RunDirectory.create(path, {"plan": {}}) as run:
        run.append(record(0))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(MtbenchError, match="no space left"):
                run.append(record(50))
        assert (path / "trials.jsonl").read_bytes().endswith(b"\n")
    assert orders(path) == [0]
