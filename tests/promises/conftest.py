from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtbench.allocators import Allocator, resolve
from mtbench.errors import MtbenchError
from mtbench.verify import Report, catalogue, probe_path, select, verify

FULL = os.environ.get("MTBENCH_ALL_PROMISES") == "1"
"""Set to 1 to run every area against every malloc instead of the affordable part."""


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Allocator:
    """The malloc with one fault, its fault not yet chosen."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("faulty") / "libfaulty.so"
    source = Path(__file__).with_name("faulty.c")
    flags = ["-O1", "-fno-builtin", "-fPIC", "-shared", "-D_GNU_SOURCE", "-pthread"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
    return Allocator("faulty", "peer", str(library))


@pytest.fixture(scope="session")
def check() -> Callable[..., Report]:
    """Runs the quick form of the promises whose names match against one malloc."""
    try:
        probe = probe_path()
    except MtbenchError as error:
        pytest.skip(str(error))
    promises = catalogue(probe)

    def run(
        allocator: Allocator | str, pattern: str, timeout: float = 120.0, probe: Path = probe
    ) -> Report:
        try:
            subject = resolve(allocator) if isinstance(allocator, str) else allocator
        except MtbenchError as error:
            pytest.skip(str(error))
        chosen = select(promises, pattern)
        assert chosen, f"no promise matches {pattern}"
        return verify(subject, chosen, quick=True, timeout=timeout, probe=probe)

    return run


def with_fault(faulty: Allocator, fault: str) -> Allocator:
    """The faulty malloc with this fault; "none" for none."""
    return replace(faulty, environment={"FAULTY": fault})
