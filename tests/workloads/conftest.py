from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def faulty_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A malloc that breaks the promise that FAULT names; see faulty.c."""
    library = tmp_path_factory.mktemp("faulty") / "libfaulty.so"
    source = Path(__file__).with_name("faulty.c")
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run(
        [*compiler, "-O1", "-shared", "-fPIC", "-fno-builtin", "-o", library, source], check=True
    )
    return library
