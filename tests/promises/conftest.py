from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mtbench.commands.verify import Report, catalogue, probe_path, select, verify
from mtbench.errors import MtbenchError
from mtbench.mallocs.allocators import Allocator, resolve
from tools.faults import compiled

FULL = os.environ.get("MTBENCH_ALL_PROMISES") == "1"
"""Set to 1 to run every area against every malloc instead of the affordable part."""


def with_faults(folder: Path, name: str) -> Allocator:
    try:
        return compiled(folder, name)
    except MtbenchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Allocator:
    """The malloc with one fault, its fault not yet chosen."""
    return with_faults(tmp_path_factory.mktemp("faulty"), "faulty")


@pytest.fixture(scope="session")
def hoarder(tmp_path_factory: pytest.TempPathFactory) -> Allocator:
    """The malloc that keeps what is freed for its size alone, if that fault is chosen."""
    return with_faults(tmp_path_factory.mktemp("hoarder"), "hoarder")


@pytest.fixture(scope="session")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles libhakmem.so with switches compiled in: fixed(check="1")."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("fixed")
    home = Path(__file__).parents[2] / "allocator"
    names = ("HAKMEM_SOURCE_HASH", "HAKMEM_BUILD_FLAGS")
    (folder / "hakmem_build.h").write_text("".join(f'#define {name} ""\n' for name in names))

    def build(**switches: str) -> Path:
        values = {name: value.replace("-", "_").upper() for name, value in switches.items()}
        library = folder / f"{'-'.join(values.values())}.so"
        subprocess.run(
            [
                *(*compiler, "-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread", "-DHAK_FIXED"),
                *(f"-fno-builtin-{name}" for name in ("malloc", "calloc", "realloc", "free")),
                "-DHAK_FIXED_TO=" + ",".join(f".{name}={value}" for name, value in values.items()),
                *("-fvisibility=hidden", f"-I{folder}", f"-I{home}/include", f"-I{home}/src"),
                *map(str, sorted((home / "src").rglob("*.c"))),
                *("-o", str(library), "-ldl"),
            ],
            check=True,
        )
        return library

    return build


@pytest.fixture(scope="session")
def check() -> Callable[..., Report]:
    """Runs the quick form of the promises whose names match against one malloc."""
    try:
        probe = probe_path()
    except MtbenchError as error:
        pytest.skip(str(error))
    promises = catalogue(probe)

    def run(
        allocator: Allocator | str,
        pattern: str,
        timeout: float = 120.0,
        probe: Path = probe,
        jobs: int = 1,
    ) -> Report:
        try:
            subject = resolve(allocator) if isinstance(allocator, str) else allocator
        except MtbenchError as error:
            pytest.skip(str(error))
        chosen = select(promises, pattern)
        assert chosen, f"no promise matches {pattern}"
        return verify(subject, chosen, quick=True, timeout=timeout, probe=probe, jobs=jobs)

    return run
