"""Small libraries that misbehave, and the command as a user starts it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).with_name("libraries")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build one of `libraries/*.c`, once a session."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("libraries")

    def build(name: str) -> Path:
        target = folder / f"lib{name}.so"
        if not target.exists():
            command = [compiler, "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", str(target)]
            subprocess.run([*command, str(SOURCES / f"{name}.c")], check=True)
        return target

    return build


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `mtbench ARGUMENTS` in an empty folder."""

    def run(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mtbench", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=timeout,
        )

    return run
