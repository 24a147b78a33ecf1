"""docs/measurement.md says where each number of a record comes from: all of them, and no other."""

import re
from collections.abc import Iterator
from typing import Any

import workloads
from mtbench import allocators
from mtbench.measure import Measurer
from mtbench.plan import Plan, Trial, grid
from tools.repository import DOCS

PAGE = DOCS / "measurement.md"


def documented() -> set[str]:
    """Paths of the first column; a name without a dot stands beside the one before it."""
    section = PAGE.read_text(encoding="utf-8").partition("## What a record holds")[2]
    found = set()
    for row in re.findall(r"^\| (`[^|]*) \|", section.partition("\nDerived:")[0], re.MULTILINE):
        names = re.findall(r"`([^`]+)`", row)
        folder = names[0].rpartition(".")[0]
        found |= {names[0], *(f"{folder}.{name}" if folder else name for name in names[1:])}
    return found


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value and "missing" not in value and "scheme" not in value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def test_every_field_of_a_record_is_explained_and_every_explained_field_is_there() -> None:
    spec = workloads.catalogue()["mid_gap"]
    plan = Plan(
        ("system",), ("mid_gap",), (2,), 1, 0.05, 0.0, 1, 2, grid(["system"], ["mid_gap"], [2])
    )
    chosen = allocators.identify([allocators.resolve("system")])[0]
    record = Measurer(plan, {"system": chosen}, {"mid_gap": spec}).record(
        Trial(0, 0, plan.cells[0])
    )
    assert record["status"] == "ok", record["reason"]
    known = {name.removesuffix("[]") for name in documented()}
    told = set(leaves(record))
    counted = {name for name in known if name.startswith("allocator_stats.")}
    assert known - counted == told - {"allocator_stats"}
