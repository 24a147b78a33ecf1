"""Numbers as people read them: three significant digits and a unit prefix."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log2, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plots.data import Estimate, Tally

Scales = tuple[tuple[float, str], ...]
"""Units and how much each is, the largest first."""

PREFIXES: Scales = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
BYTE_UNITS: Scales = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
TIMES: Scales = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
ABSENT = "–"


def compact(value: float) -> str:
    """Return 41200000 as "41.2 M", 0.00031 as "0.00031"; a dash where missing."""
    if not isfinite(value):
        return ABSENT
    size, prefix = scaled(value, PREFIXES)
    return f"{digits(size)} {prefix}".rstrip()


def scaled(value: float, scales: Scales) -> tuple[float, str]:
    """Return the value in the largest unit it reaches, and that unit; as it is and "" below all.

    999.6 k would round to "1000 k" and so is 0.9996 M.
    """
    for scale, unit in scales:
        if abs(value) >= scale * 0.9995:
            return value / scale, unit
    return value, ""


def digits(value: float, significant: int = 3) -> str:
    """Return the value with so many significant digits, without an exponent where it is short."""
    if not isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4 or size >= 1e15:
        mantissa, exponent = f"{value:.{significant - 1}e}".split("e")
        short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{short}e{int(exponent)}"
    places = significant - 1 - floor(log10(size))
    text = f"{value:.{max(0, places)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float, significant: int = 3) -> str:
    """Return 0.123 as "12.3 %"."""
    return f"{digits(value * 100, significant)} %" if isfinite(value) else ABSENT


def in_words(value: float) -> str:
    """Return 4012 as "4 thousand", 1234567 as "1.2 million"; a dash where missing."""
    size, unit = scaled(value, ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")))
    return f"{digits(size, 2)} {unit}".rstrip()


def tallied(found: Tally) -> str:
    """Return what a program asks of its malloc, and how that was measured, as a sentence."""
    return (
        f"Over the C library's malloc {part(found.share)} of its CPU time is in malloc and free: "
        f"{in_words(found.calls_per_s)} calls per second, {bytes_text(found.mean_bytes)} per "
        "allocation. One run more, one call in 64 timed."
    )


def part(value: float) -> str:
    """Return a share that is an estimate: 0.1234 as "12 %", what is hardly any as "under 0.1 %"."""
    return "under 0.1 %" if 0 <= value < 0.001 else share(value, 2)


def times(value: float) -> str:
    """Return 1.234 as "1.23 x"."""
    return f"{digits(value)} x" if isfinite(value) else ABSENT


def bytes_step(most: float, steps: int) -> float:
    """Return the power of two of which so many steps, or a few less, reach `most` bytes: an axis
    then has round numbers of MiB."""
    return 2.0 ** ceil(log2(max(most, 1.0) / steps))


def bytes_text(value: float) -> str:
    """Return bytes in binary units: 1536 is "1.5 KiB"."""
    if not isfinite(value):
        return ABSENT
    size, unit = scaled(value, BYTE_UNITS)
    return f"{digits(size)} {unit or 'B'}"


def nanoseconds(value: float) -> str:
    """Return nanoseconds as "85 ns", "1.2 µs", "3 ms"."""
    if not isfinite(value):
        return ABSENT
    size, unit = scaled(value, TIMES)
    return f"{digits(size)} {unit or 'ns'}"


def interval(found: Estimate) -> str:
    """Return "41.2 M [40.1 M, 42 M]", without brackets where there is no interval."""
    if not found.bounded:
        return compact(found.value)
    return f"{compact(found.value)} [{compact(found.low)}, {compact(found.high)}]"


def threads(count: int, cores: int | None = None) -> str:
    """Return "1 thread", "2 threads"; with more than the `cores` given, if any, "8 threads,
    oversubscribed"."""
    crowd = "" if cores is None or count <= cores else ", oversubscribed"
    return counted(count, "thread") + crowd


def counted(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def spread(numbers: Sequence[int]) -> str:
    """Return "5" if all are equal, else "3 to 5"; a dash if there is none."""
    if not numbers:
        return ABSENT
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
