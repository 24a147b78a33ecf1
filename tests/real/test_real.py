"""The quick part of the real programs: the same output under hakmem, proved to be mapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtbench.errors import MtbenchError
from mtbench.mallocs.allocators import Allocator, resolve
from tests.real import run as real
from tests.real.programs import Program


@pytest.mark.parametrize("program", [e for e in real.CATALOGUE if e.quick], ids=lambda e: e.name)
def test_output_equals_the_system_mallocs(program: Program) -> None:
    try:
        hakmem = resolve("hakmem")
    except MtbenchError as error:
        pytest.skip(str(error))
    (row,) = real.compare(program, [hakmem], quick=True)
    if row.result == "skipped":
        pytest.skip(row.reason)
    assert (row.result, row.reason) == ("equal", "")


def test_a_library_that_is_not_mapped_fails_the_program(tmp_path: Path) -> None:
    # The dynamic linker only warns of a preload that is missing and goes on without it.
    missing = Allocator("missing", "peer", str(tmp_path / "missing.so"))
    sort = next(e for e in real.CATALOGUE if e.name == "sort")
    (row,) = real.compare(sort, [missing], quick=True)
    assert (row.result, row.reason) == ("fails", "library not mapped")
