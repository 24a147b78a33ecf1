"""The matrix of machines says what it could not have, and what failed, and loses no row."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.machines import machines
from tests.machines import matrix as driver
from tests.machines.machines import Machine, packages, python
from tests.machines.place import AbsentError, Place, Row
from tools.repository import ROOT


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "BUILD", tmp_path)
    monkeypatch.setattr(driver, "KEPT", tmp_path / "machines.json")


def failing(place: Place) -> None:
    place.run("first", place.build, ["true"])
    place.run("second", place.build, ["sh", "-c", "echo half; echo why >&2; exit 7"])
    place.run("third", place.build, ["true"])


def test_a_python_that_is_not_there_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "mirror", Mock(side_effect=AbsentError("no mirror")))
    row = driver.tried(Machine("python-9.9", partial(python, "python9.9")))
    assert (row.result, row.ran) == ("absent", "")
    assert row.reason == "no python9.9 with venv that runs here; no mirror"


def test_a_failure_is_a_row_with_the_command_its_code_and_its_last_line() -> None:
    row = driver.tried(Machine("it", failing))
    assert (row.result, row.ran) == ("failed", "first; second")
    assert row.reason == "second: exit code 7: why"


def complaining(place: Place) -> None:
    place.run(
        "it", place.build, ["sh", "-c", "echo E: no file://host/a/b/Release nor '/c/d e'; false"]
    )


def test_a_reason_names_no_host_and_no_folder() -> None:
    row = driver.tried(Machine("it", complaining))
    assert row.reason == "it: exit code 1: E: no Release nor d e"


def test_a_root_without_a_python_is_a_failure(tmp_path: Path) -> None:
    def empty(place: Place) -> None:
        place.root = tmp_path
        place.ask("python3")

    row = driver.tried(Machine("it", empty))
    assert (row.result, row.reason) == ("failed", "no python3 with venv that runs here")


def test_rows_of_machines_that_did_not_run_stay() -> None:
    def row(name: str, seconds: int) -> Row:
        return Row(name, "3", "glibc", "cc", "make sweep", "passed", "", seconds)

    driver.keep([row("wheel", 1), row("debian-12", 1)])
    driver.keep([row("wheel", 2)])
    kept = json.loads(driver.KEPT.read_text(encoding="utf-8"))["rows"]
    assert [(r["machine"], r["seconds"]) for r in kept] == [("debian-12", 1), ("wheel", 2)]


def test_the_roots_hold_what_the_readme_tells_of() -> None:
    found = packages(ROOT)
    assert {"gcc", "make", "git", "python3-venv"} <= set(found)


def test_make_keeps_a_path_with_spaces_in_one_word(tmp_path: Path) -> None:
    folder = tmp_path / "ein schönes Gerät"
    folder.mkdir()
    makefile = ROOT / "Makefile"
    (folder / "Makefile").write_bytes(makefile.read_bytes())
    (folder / "print.mk").write_text(
        "include Makefile\nprint:\n\t@printf '%s\\n' $(CMAKE_QUIET)\n", encoding="utf-8"
    )
    said = subprocess.run(
        ["make", "-f", "print.mk", "print"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert f"-DCMAKE_MAKE_PROGRAM={folder}/.venv/bin/ninja" in said.stdout.splitlines()
