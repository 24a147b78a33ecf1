"""Distributions of sizes: described here, sampled with numpy into the table kernels index."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads import histogram
from workloads.engine import lib
from workloads.errors import number, one_of, refuse, whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGEST = 1 << 30
"""The largest size a workload may ask for, in bytes."""

TABLE: int = lib.WK_SIZES
"""Entries of a size table."""

KINDS: dict[str, tuple[str, ...]] = {
    "fixed": ("size",),
    "uniform": ("low", "high"),
    "log_uniform": ("low", "high"),
    "linear_falling": ("low", "high"),
    "exponential": ("mean", "low", "high"),
    "pareto": ("shape", "low", "high"),
    "bimodal": ("small", "large", "large_share"),
    "weighted": ("values",),
    "histogram": ("path",),
}
"""Each kind of distribution and the keys it takes; all of them are needed."""


@dataclass(frozen=True)
class Sizes:
    """A distribution of block sizes in bytes.

    `kind` is a key of `KINDS`. `low` and `high` bound the sizes, both included; exponential and
    Pareto are conditioned on lying between them. `values` are (size, weight) pairs.

    Raises SpecError if a value is missing, superfluous or not possible.
    """

    kind: str
    size: int | None = None
    low: int | None = None
    high: int | None = None
    mean: float | None = None
    shape: float | None = None
    small: int | None = None
    large: int | None = None
    large_share: float | None = None
    values: tuple[tuple[int, float], ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS or self.kind == "histogram":
            raise refuse("sizes.kind", self.kind, one_of(KINDS))
        wanted = KINDS[self.kind]
        for key in ("size", "low", "high", "small", "large"):
            if key in wanted:
                object.__setattr__(
                    self, key, whole(f"sizes.{key}", getattr(self, key), 1, LARGEST, "bytes")
                )
        for key, least, most in (
            ("mean", 1, LARGEST),
            ("shape", 0.01, 100),
            ("large_share", 0, 1),
        ):
            if key in wanted:
                number(f"sizes.{key}", getattr(self, key), least, most)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise refuse("sizes.low", self.low, f"at most sizes.high = {self.high}")
        if "values" in wanted:
            object.__setattr__(self, "values", _weights(self.values))
        for key in _ALL_KEYS:
            if key not in wanted and getattr(self, key) is not None:
                raise refuse(f"sizes.{key}", getattr(self, key), _takes(self.kind))

    @classmethod
    def from_mapping(cls, given: object, folder: Path | None = None) -> Sizes:
        """Makes the distribution of a TOML table; `folder` is where a histogram's path starts.

        Raises SpecError if it is none.
        """
        if not isinstance(given, Mapping):
            raise refuse("sizes", given, "a table with a kind: " + one_of(KINDS))
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise refuse("sizes.kind", kind, one_of(KINDS))
        for key in given:
            if key != "kind" and key not in KINDS[kind]:
                raise refuse(f"sizes.{key}", given[key], _takes(kind))
        if kind == "histogram":
            path = given.get("path")
            if not isinstance(path, str) or not path:
                raise refuse("sizes.path", path, "the path of a CSV file with lines size,count")
            return cls.from_csv((folder or Path()) / path)
        return cls(**given)

    @classmethod
    def from_csv(cls, path: Path) -> Sizes:
        """Reads a histogram from a text file with a size and a count on each line.

        Raises SpecError, with the number of the line, if one is not understood.
        """
        return cls("weighted", values=histogram.read(path))

    def as_mapping(self) -> dict[str, Any]:
        """Returns what `from_mapping` takes back, with the keys of this kind only."""
        mapping: dict[str, Any] = {"kind": self.kind}
        for key in KINDS[self.kind]:
            value = getattr(self, key)
            mapping[key] = [list(pair) for pair in value] if key == "values" else value
        return mapping

    def describe(self) -> str:
        """Returns a few words for a table, such as `uniform 1 KiB - 8 KiB`."""
        if self.kind == "fixed":
            return f"fixed {amount(self.size or 0)}"
        if self.kind == "bimodal":
            share = 100 * (self.large_share or 0)
            return f"{amount(self.small or 0)}, {share:g} % {amount(self.large or 0)}"
        if self.values is not None:
            low = min(size for size, _ in self.values)
            high = max(size for size, _ in self.values)
            return f"{len(self.values)} weighted sizes {amount(low)} - {amount(high)}"
        words = f"{self.kind.replace('_', '-')} {amount(self.low or 0)} - {amount(self.high or 0)}"
        if self.kind == "exponential":
            return f"{words}, mean {amount(int(self.mean or 0))}"
        return f"{words}, shape {self.shape:g}" if self.kind == "pareto" else words

    def sample(self, seed: int) -> npt.NDArray[np.uint32]:
        """Returns 65 536 sizes, bytes, drawn by inverting the distribution at random points."""
        import numpy as np

        random = np.random.default_rng([seed & (2**64 - 1), 0x512E5])
        drawn = _SAMPLERS[self.kind](self, random.random(TABLE))
        low, high = self.bounds()
        return np.clip(np.floor(drawn), low, high).astype(np.uint32)

    def bounds(self) -> tuple[int, int]:
        """Returns the smallest and the largest size that can be drawn, bytes."""
        if self.size is not None:
            return self.size, self.size
        if self.small is not None and self.large is not None:
            return min(self.small, self.large), max(self.small, self.large)
        if self.values is not None:
            return min(size for size, _ in self.values), max(size for size, _ in self.values)
        return self.low or 1, self.high or LARGEST


_ALL_KEYS = tuple(dict.fromkeys(key for keys in KINDS.values() for key in keys if key != "path"))


def _takes(kind: str) -> str:
    return f"left out: sizes of kind {kind} take " + ", ".join(KINDS[kind])


def amount(size: int) -> str:
    """A size in words: `64 B`, `8 KiB`, `1 MiB`. Exact, as a spec's is: `1536 B`, not `1.5 KiB`."""
    for unit, bytes_each in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_each and size % bytes_each == 0:
            return f"{size // bytes_each} {unit}"
    return f"{size} B"


def _weights(values: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise refuse("sizes.values", values, "a list of [size, weight] pairs, at least one")
    pairs = []
    for pair in values:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise refuse("sizes.values", pair, "a pair [size, weight]")
        size = whole("sizes.values size", pair[0], 1, LARGEST, "bytes")
        pairs.append((size, number("sizes.values weight", pair[1], 0, 1e18)))
    if not sum(weight for _, weight in pairs) > 0:
        raise refuse("sizes.values", values, "weights of which at least one is above 0")
    return tuple(pairs)


if TYPE_CHECKING:
    _Points = npt.NDArray[np.float64]
    _Sampler = Callable[["Sizes", _Points], _Points]


def _fixed(sizes: Sizes, points: _Points) -> _Points:
    return points * 0 + (sizes.size or 0)


def _uniform(sizes: Sizes, points: _Points) -> _Points:
    low, high = sizes.bounds()
    return low + points * (high + 1 - low)


def _log_uniform(sizes: Sizes, points: _Points) -> _Points:
    low, high = sizes.bounds()
    drawn: _Points = low * ((high + 1) / low) ** points
    return drawn


def _linear_falling(sizes: Sizes, points: _Points) -> _Points:
    # Density 2 (high - s) / (high - low)^2, so F(s) = 1 - ((high - s) / (high - low))^2.
    low, high = sizes.bounds()
    drawn: _Points = (high + 1) - (high + 1 - low) * (1 - points) ** 0.5
    return drawn


def _exponential(sizes: Sizes, points: _Points) -> _Points:
    import numpy as np

    low, high = sizes.bounds()
    mean = float(sizes.mean or 1)
    within = -math.expm1(-(high + 1 - low) / mean)
    drawn: _Points = low - mean * np.log1p(-points * within)
    return drawn


def _pareto(sizes: Sizes, points: _Points) -> _Points:
    low, high = sizes.bounds()
    shape = float(sizes.shape or 1)
    within = 1 - (low / (high + 1)) ** shape
    drawn: _Points = low * (1 - points * within) ** (-1 / shape)
    return drawn


def _bimodal(sizes: Sizes, points: _Points) -> _Points:
    import numpy as np

    drawn: _Points = np.where(
        points < float(sizes.large_share or 0), float(sizes.large or 0), float(sizes.small or 0)
    )
    return drawn


def _weighted(sizes: Sizes, points: _Points) -> _Points:
    import numpy as np

    pairs = sizes.values or ()
    edges = np.cumsum([weight for _, weight in pairs])
    place = np.searchsorted(edges / edges[-1], points, side="right")
    drawn: _Points = np.array([size for size, _ in pairs], dtype=np.float64)[place]
    return drawn


_SAMPLERS: dict[str, _Sampler] = {
    "fixed": _fixed,
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "linear_falling": _linear_falling,
    "exponential": _exponential,
    "pareto": _pareto,
    "bimodal": _bimodal,
    "weighted": _weighted,
}
