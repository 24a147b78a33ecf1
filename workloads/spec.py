"""A workload: what is allocated, how, for how long, and by whom it is freed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads.engine import CALLS, PHASES, STAGES, TOUCHES
from workloads.errors import SpecError, number, one_of, refuse, whole
from workloads.kernels import KERNELS
from workloads.sizes import Sizes

LARGEST_ALIGNMENT = 1 << 20
LONGEST_LIFE = 1 << 40


@dataclass(frozen=True)
class Phase:
    """A stretch of the window: `kind` "steady" runs the kernel, "ramp" allocates up to the working
    set and waits, "drain" frees all and waits. `seconds` is how long it lasts.

    Raises SpecError if either is not possible.
    """

    kind: str
    seconds: float

    def __post_init__(self) -> None:
        if self.kind not in PHASES:
            raise refuse("phases.kind", self.kind, one_of(PHASES))
        number("phases.seconds", self.seconds, 0.001, 86400, "seconds")


@dataclass(frozen=True)
class Workload:
    """What every thread does, checked when it is made.

    - `name`: letters, digits, `_`, `-`; `description`: one line.
    - `kernel`: a key of `KERNELS`; `parameters`: its numbers and choices, defaults filled in.
    - `sizes`: distribution of block sizes in bytes.
    - `calls`: weight of each of `CALLS`. A realloc makes a block of one drawn size and moves it to
      another (the larger last for grow, the smaller for shrink), and counts as two operations.
    - `alignments`: weight of each alignment in bytes, for aligned_alloc.
    - `touch`: what is written into a new block, one of `TOUCHES`.
    - `work`: iterations of arithmetic after each allocation (about 1 ns each).
    - `life`: operations in a thread's life, then a successor takes over; 0: for ever.
    - `phases`: repeated until the window ends; none: steady.
    - `unit`: what is counted: operations, threads (started), or the kernel's own unit.

    Raises SpecError, whose one line names the key, the value and what is allowed, if a value is not
    possible.
    """

    name: str
    kernel: str
    sizes: Sizes
    description: str = ""
    calls: Mapping[str, float] = field(default_factory=lambda: {"malloc": 1.0})
    alignments: Mapping[int, float] = field(default_factory=lambda: {64: 1.0})
    touch: str = "first"
    work: int = 0
    life: int = 0
    phases: tuple[Phase, ...] = ()
    unit: str = "operations"
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise refuse("name", self.name, "1 - 64 letters, digits, _ and -")
        if not isinstance(self.description, str) or not self.description.isprintable():
            raise refuse("description", self.description, "one line of text")
        if not isinstance(self.kernel, str) or self.kernel not in KERNELS:
            raise refuse("kernel", self.kernel, one_of(KERNELS))
        if not isinstance(self.sizes, Sizes):
            raise refuse("sizes", self.sizes, "a workloads.Sizes")
        if self.touch not in TOUCHES:
            raise refuse("touch", self.touch, one_of(TOUCHES))
        object.__setattr__(self, "work", whole("work", self.work, 0, 1 << 20, "iterations"))
        object.__setattr__(self, "life", whole("life", self.life, 0, LONGEST_LIFE, "operations"))
        units = tuple(dict.fromkeys(("operations", "threads", KERNELS[self.kernel].unit)))
        if self.unit not in units:
            raise refuse("unit", self.unit, one_of(units))
        object.__setattr__(self, "calls", _calls(self.calls))
        object.__setattr__(self, "alignments", _alignments(self.alignments))
        object.__setattr__(self, "phases", _phases(self.phases))
        object.__setattr__(self, "parameters", _parameters(self.kernel, self.parameters))

    def __hash__(self) -> int:
        return hash(self.name)

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], folder: Path | None = None) -> Workload:
        """Makes the workload of a TOML document or of what `as_mapping` returned.

        `folder` is where the path of a histogram starts. Raises SpecError if it is none.
        """
        keys = [item.name for item in dataclasses.fields(cls)]
        for key in given:
            if key not in keys:
                raise refuse(key, given[key], "left out: the keys are " + ", ".join(keys))
        for key in ("name", "kernel", "sizes"):
            if key not in given:
                raise SpecError(f"{key} is missing: a workload needs name, kernel and sizes")
        values = dict(given)
        values["sizes"] = Sizes.from_mapping(values["sizes"], folder)
        return cls(**values)

    def as_mapping(self) -> dict[str, Any]:
        """Returns plain values that JSON and TOML can hold; `from_mapping` takes them back."""
        return {
            "name": self.name,
            "description": self.description,
            "kernel": self.kernel,
            "unit": self.unit,
            "touch": self.touch,
            "work": self.work,
            "life": self.life,
            "sizes": self.sizes.as_mapping(),
            "calls": dict(self.calls),
            "alignments": {str(key): value for key, value in self.alignments.items()},
            "parameters": dict(self.parameters),
            "phases": [{"kind": item.kind, "seconds": item.seconds} for item in self.phases],
        }

    def to_toml(self) -> str:
        """Returns the workload as a TOML file, every default spelled out."""
        from workloads.files import print_toml

        return print_toml(self)

    def with_options(self, **options: Any) -> Workload:
        """Returns a copy with other values; an option is a field, or a parameter of the kernel.

        Raises SpecError if there is no such option, or if its value is not possible.
        """
        fields = [item.name for item in dataclasses.fields(self) if item.name != "parameters"]
        kernel = options.get("kernel", self.kernel)
        if not isinstance(kernel, str) or kernel not in KERNELS:
            raise refuse("kernel", kernel, one_of(KERNELS))
        names = [item.name for item in KERNELS[kernel].parameters]
        changes: dict[str, Any] = {}
        parameters = dict(options.pop("parameters", {}))
        for key, value in options.items():
            if key in fields:
                changes[key] = Sizes.from_mapping(value) if _is_table(key, value) else value
            elif key in names:
                parameters[key] = value
            else:
                allowed = ", ".join(fields + names)
                raise refuse(key, value, f"left out: the options of {self.name} are {allowed}")
        for key in ("work", "life"):
            if isinstance(changes.get(key), str) and re.fullmatch("[0-9]{1,20}", changes[key]):
                changes[key] = int(changes[key])
        # A new kernel keeps the parameters that it shares with the old one.
        kept = {name: value for name, value in self.parameters.items() if name in names}
        changes["parameters"] = {**kept, **parameters}
        return dataclasses.replace(self, **changes)


def _is_table(key: str, value: object) -> bool:
    return key == "sizes" and not isinstance(value, Sizes)


def _weighted(key: str, given: object, what: str) -> dict[Any, float]:
    if not isinstance(given, Mapping) or not given:
        raise refuse(key, given, f"a table from {what} to weight")
    weights = {name: number(f"{key}.{name}", weight, 0, 1e9) for name, weight in given.items()}
    if not sum(weights.values()) > 0:
        raise refuse(key, dict(given), "weights of which at least one is above 0")
    return weights


def _calls(given: object) -> dict[str, float]:
    weights = _weighted("calls", given, "call")
    for name, weight in weights.items():
        if name not in CALLS:
            raise refuse(f"calls.{name}", weight, "left out: the calls are " + ", ".join(CALLS))
    return weights


def _alignments(given: object) -> dict[int, float]:
    weights: dict[int, float] = {}
    allowed = f"left out: alignments are powers of two from 1 to {LARGEST_ALIGNMENT}"
    for name, weight in _weighted("alignments", given, "alignment").items():
        text = str(name)
        alignment = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        if not 1 <= alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
            raise refuse(f"alignments.{name}", weight, allowed)
        weights[alignment] = weight
    return weights


def _phases(given: object) -> tuple[Phase, ...]:
    allowed = f"a list of at most {STAGES} tables with kind and seconds, one of them steady"
    if not isinstance(given, (list, tuple)) or len(given) > STAGES:
        raise refuse("phases", given, allowed)
    phases = []
    for item in given:
        if isinstance(item, Mapping) and set(item) == {"kind", "seconds"}:
            item = Phase(**item)
        if not isinstance(item, Phase):
            raise refuse("phases", item, "a table with kind and seconds")
        phases.append(item)
    if phases and all(item.kind != "steady" for item in phases):
        raise refuse("phases", [item.kind for item in phases], allowed)
    return tuple(phases)


def _parameters(kernel: str, given: object) -> dict[str, int | float | str]:
    known = {item.name: item for item in KERNELS[kernel].parameters}
    takes = ", ".join(known) or "none"
    if not isinstance(given, Mapping):
        raise refuse("parameters", given, f"a table; kernel {kernel} takes {takes}")
    for name in given:
        if name not in known:
            raise refuse(
                f"parameters.{name}", given[name], f"left out: kernel {kernel} takes {takes}"
            )
    return {name: item.checked(given.get(name, item.default)) for name, item in known.items()}
