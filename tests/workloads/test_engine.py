"""The engine's header is the one place for names and numbers; Python has all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workloads import KERNELS, engine

HEADER = Path(__file__).parents[2] / "workloads" / "include" / "workloads.h"
ENUMS = dict(re.findall(r"^enum wk_(\w+) \{(.*?)\};", HEADER.read_text("utf-8"), re.M | re.S))
CHOICES = {
    item.name: item.choices
    for kernel in KERNELS.values()
    for item in kernel.parameters
    if item.choices
}
NAMED = {
    "call": engine.CALLS,
    "touch": engine.TOUCHES,
    "stage_kind": engine.PHASES,
    "loop": engine.LOOPS,
    "edge": engine.EDGES,
    "unit": engine.UNITS,
    **CHOICES,
}


def test_python_names_every_enum_of_the_header() -> None:
    assert set(NAMED) == set(ENUMS)


@pytest.mark.parametrize("enum", ENUMS)
def test_python_has_every_name_of_the_enum_with_its_number(enum: str) -> None:
    declared = re.findall(r"WK_\w+", ENUMS[enum])
    assert [getattr(engine.lib, name) for name in declared] == list(NAMED[enum].values())
    for name, shown in zip(declared, NAMED[enum], strict=True):
        assert name.lower() in (f"wk_{shown}", f"wk_{enum}_{shown}")


def test_default_of_a_choice_is_one_of_the_enum() -> None:
    for kernel in KERNELS.values():
        for item in kernel.parameters:
            assert isinstance(item.default, str) == bool(item.choices)
            assert not item.choices or item.default in item.choices
