"""Which library serves is told by where calls end, however the caller and the library are built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mtbench
from mtbench.mallocs.identity import ENTRY_POINTS
from mtbench.mallocs.reached import reached
from workloads.preload import preload_path

SOURCES = Path(__file__).with_name("libraries")
IDENTITY = Path(mtbench.__path__[0]) / "mallocs" / "identity.py"
INTERPRETERS = sorted({sys.executable, *filter(None, [shutil.which("/usr/bin/python3")])})
Library = Callable[[str], Path]
LIBC = "libc.so"


def looked_at(program: Path, preload: Path | None) -> dict[str, set[str]]:
    """Where the calls of a running program end, by file name."""
    environment = {"LD_PRELOAD": preload_path(str(preload))} if preload else {}
    with subprocess.Popen(
        [program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(7) == b"looked?"
        found = reached(ENTRY_POINTS, process.pid)
    return {name: {Path(path).name for path in paths} for name, paths in found.items()}


@pytest.fixture
def compiled(tmp_path: Path, library: Library) -> Callable[..., Path]:
    def build(source: str, *flags: str) -> Path:
        target = tmp_path / Path(source).stem
        command = ["cc", "-O1", "-fno-builtin", "-o", str(target), str(SOURCES / source), *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this compiler cannot: {done.stderr.strip().splitlines()[-1]}")
        return target

    return build


@pytest.mark.parametrize(
    "flags",
    [
        "-no-pie -fno-pie",
        "-no-pie -fno-pie -fno-plt",
        "-pie -fPIE -Wl,-z,lazy",
        "-pie -fPIE -Wl,-z,now",
        "-pie -fPIE -fno-plt -Wl,-z,pack-relative-relocs",
    ],
)
@pytest.mark.parametrize("name", ["good", "indirect"])
def test_calls_of_a_program_linked_in_any_way_end_in_the_preloaded_library(
    flags: str, name: str, compiled: Callable[..., Path], library: Library
) -> None:
    program = compiled("caller.c", *flags.split())
    assert looked_at(program, library(name)) == {
        function: {f"lib{name}.so"} for function in ENTRY_POINTS
    }
    without = looked_at(program, None)
    assert all(next(iter(paths)).startswith(LIBC) for paths in without.values())


def test_calls_of_a_static_program_end_nowhere_that_could_be_preloaded(
    compiled: Callable[..., Path], library: Library
) -> None:
    found = looked_at(compiled("caller.c", "-static"), library("good"))
    assert found == {function: set() for function in ENTRY_POINTS}


def versioned(folder: Path) -> Path:
    """A malloc under a version that no caller asks for: found by name, and never called."""
    script, target = folder / "versions", folder / "libversioned.so"
    script.write_text("MINE_1 { global: *; };\n")
    command = ["cc", "-shared", "-fPIC", "-fno-builtin", f"-Wl,--version-script={script}"]
    subprocess.run([*command, "-o", str(target), str(SOURCES / "good.c")], check=True)
    return target


def test_a_malloc_of_a_version_that_nobody_calls_does_not_serve(
    compiled: Callable[..., Path], tmp_path: Path
) -> None:
    found = looked_at(compiled("caller.c"), versioned(tmp_path))
    assert all(next(iter(paths)).startswith(LIBC) for paths in found.values())


def identified(interpreter: str, preload: Path | None, tmp_path: Path) -> list[str]:
    """What a process of that Python says: who serves malloc, its version, why it is no malloc."""
    answer = tmp_path / "answer"
    environment = {"LD_PRELOAD": preload_path(str(preload))} if preload else {}
    subprocess.run([interpreter, "-I", "-S", IDENTITY, answer], env=environment, check=True)
    return answer.read_text().split("\n")


@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize("name", ["good", "indirect"])
def test_every_python_of_the_machine_names_the_library_that_serves_it(
    interpreter: str, name: str, library: Library, tmp_path: Path
) -> None:
    found = identified(interpreter, library(name), tmp_path)
    assert (found[0], found[2]) == (os.path.realpath(library(name)), "")
    found = identified(interpreter, None, tmp_path)
    assert Path(found[0]).name.startswith(LIBC) and found[2] == ""


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_no_python_takes_a_name_that_is_found_for_a_call_that_arrives(
    interpreter: str, library: Library, tmp_path: Path
) -> None:
    found = identified(interpreter, versioned(tmp_path), tmp_path)
    assert Path(found[0]).name.startswith(LIBC)
    assert "free is served by" in identified(interpreter, library("half"), tmp_path)[2]
