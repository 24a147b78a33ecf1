"""A row of bars for a terminal: the shape of a curve in as many characters as points."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[float]) -> str:
    """Returns one character per value, from zero (lowest bar) to the largest value (full bar).

    The scale starts at zero so that a flat line at a high value looks high. nan, infinite and
    negative values are gaps (a space).
    """
    numbers = list(values)
    top = max((v for v in numbers if isfinite(v)), default=0.0)
    return "".join(_block(value, top) for value in numbers)


def _block(value: float, top: float) -> str:
    if not isfinite(value) or value < 0:
        return " "
    if top <= 0:
        return BLOCKS[0]
    return BLOCKS[min(len(BLOCKS) - 1, int(value / top * len(BLOCKS)))]
