"""malloc and free stay short: the promise that the whole design rests on."""

import platform
import shutil

import pytest

import allocator
from tools.disassembly import LIMIT, fast_path

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the limit is for x86-64"),
    pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump"),
]


@pytest.mark.parametrize("flavour", list(allocator.FLAVOURS))
@pytest.mark.parametrize("function", ["malloc", "free"])
def test_fast_path_has_at_most_26_instructions(flavour: str, function: str) -> None:
    path = fast_path(allocator.library(flavour), function)
    assert len(path.instructions) <= LIMIT, "\n".join(path.instructions)


@pytest.mark.parametrize("flavour", list(allocator.FLAVOURS))
@pytest.mark.parametrize("function", ["malloc", "free"])
def test_fast_path_has_no_lock_prefix_and_no_call(flavour: str, function: str) -> None:
    path = fast_path(allocator.library(flavour), function)
    assert not [line for line in path.instructions if line.startswith(("lock", "call", "xchg"))]


def test_listing_ends_at_the_first_return() -> None:
    assert fast_path(allocator.library(), "malloc").instructions[-1].startswith("ret")


def test_unknown_function_is_named() -> None:
    with pytest.raises(ValueError, match="no_such_function"):
        fast_path(allocator.library(), "no_such_function")
