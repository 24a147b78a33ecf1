"""A run is resumed as it was begun, or not at all: its trials are never of two kinds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mtbench.__main__ import main
from mtbench.errors import UsageError
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory
from tests.support.fabricated import fabricate

Command = Callable[..., Any]
Say = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An unfinished run that was begun here and now."""
    made = fabricate(tmp_path / "run", lambda *_: 1e7, allocators=("system",), threads=(1,))
    trials = made / "trials.jsonl"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:2]))
    amend(made, conditions=conditions.here())
    return made


def amend(run: Path, **entries: Any) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | entries))


def refused(run: Path, capsys: Say, *words: str) -> None:
    """Resuming ends with one line that holds the words; no trial was added."""
    before = (run / "trials.jsonl").read_bytes()
    assert main(["sweep", "--resume", str(run)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert [word for word in words if word not in said] == []
    assert (run / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "MIMALLOC_VERBOSE", "MALLOC_CONF", "LD_AUDIT"]
)
def test_a_run_is_not_resumed_where_mallocs_are_set_otherwise(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    refused(run, capsys, "begun under other conditions", f"{name} was unset, is 1")


def test_a_run_is_not_resumed_without_a_setting_that_it_had(run: Path, capsys: Say) -> None:
    amend(run, conditions=conditions.here() | {"MALLOC_ARENA_MAX": "1"})
    refused(run, capsys, "MALLOC_ARENA_MAX was 1, is unset")


def test_what_no_trial_sees_is_no_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conditions.here()
    for name in ("HAKMEM_REGISTRY", "LD_PRELOAD", "EDITOR"):
        monkeypatch.setenv(name, "")
    assert conditions.here() == before


@pytest.mark.parametrize(
    "name",
    [
        *("host", "cores", "processors", "kernel", "libc", "transparent huge pages"),
        *("address space limit", "numpy"),
        *("build of mtbench", "build of workloads", "build of hakmem"),
    ],
)
def test_a_run_is_not_resumed_on_another_machine_or_by_another_build(
    run: Path, capsys: Say, name: str
) -> None:
    amend(run, conditions=conditions.here() | {name: "another"})
    refused(run, capsys, f"({name} was another, is ", "start a new run")


def test_an_older_run_is_not_resumed_on_another_machine(run: Path, capsys: Say) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["conditions"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused(run, capsys, "host was here, is ")


@pytest.mark.parametrize(
    "options",
    [
        *(["--pin", "none"], ["--verify"], ["--latency-every", "0"], ["--timeout", "9"]),
        *(["--memory", "1G"], ["--title", "mine"], ["--quick"], ["--seed", "0"], ["-o", "other"]),
    ],
)
def test_resume_refuses_an_option_that_it_would_not_heed(
    run: Path, capsys: Say, options: list[str]
) -> None:
    assert main(["sweep", "--resume", str(run), *options]) == 2
    assert "does not go with it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        *(["--metric", "(1)"], ["--prepare", "true"], ["--cleanup", "true"], ["--setup", "true"]),
        *(["--ignore-exit-code"], ["--timeout", "9"], ["--seed", "0"], ["--name", "mine"]),
        *(["--shell", "sh"], ["--", "true"]),
    ],
)
def test_exec_resume_refuses_an_option_that_it_would_not_heed(
    run: Path, capsys: Say, options: list[str]
) -> None:
    assert main(["exec", "--resume", str(run), *options]) == 2
    assert "does not go with it" in capsys.readouterr().err


def test_a_changed_program_or_folder_is_not_resumed(command: Command, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    words = ("exec", "-a", "system", "-n", 1, "-q", "-o", "run", "--", "./program", "0.5")
    assert command(*words).returncode == 0
    assert command("exec", "--resume", "run", "-q").returncode == 0
    shutil.copy("/bin/cat", program)
    again = command("exec", "--resume", "run")
    assert again.returncode == 2
    assert "program ./program was " in again.stderr and again.stderr.count("\n") == 1


def test_an_older_run_of_a_program_knows_its_machine_only(run: Path) -> None:
    there = {"host": "here", "cpu": "a processor", "cores": "2"}
    manifest = RunDirectory.read(run).manifest
    kept = RunDirectory(run, replace(manifest, fingerprint=there, conditions={}))
    conditions.check(kept, there | {"program ./x": "0123", "MALLOC_ARENA_MAX": "1"})
    with pytest.raises(UsageError, match="cores was 2, is 4"):
        conditions.check(kept, there | {"cores": "4"})
