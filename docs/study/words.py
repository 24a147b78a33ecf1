"""Numbers and verdicts as words. A word of praise or blame comes only from a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mtbench.statistics import NOISE_THRESHOLD, Estimate
from mtbench.table import ratio as bracketed
from study.analyse import FASTER, FEW, NONE, SLOWER, Ratio

SINGLE = {FASTER: "faster", SLOWER: "slower", NONE: "no difference seen", FEW: "too few trials"}


def times(found: Ratio | Estimate) -> str:
    """`1.31 x [1.27, 1.36]`."""
    estimate = found.estimate if isinstance(found, Ratio) else found
    if not math.isfinite(estimate.value):
        return "not measured"
    text = f"{estimate.value:.2f} x"
    if math.isfinite(estimate.low):
        text += f" [{estimate.low:.2f}, {estimate.high:.2f}]"
    return text


def percent(found: Estimate) -> str:
    """`31 % [27 %, 36 %]` of a share."""
    return f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]".replace("%", " %")


def percentage(share: float) -> str:
    """`12.3 %` of 0.123; `-` if missing."""
    return f"{share:.1%}".replace("%", " %") if math.isfinite(share) else "-"


def amount(found: Estimate) -> str:
    """`12.1 ns [10.0, 13.9]`, for after a word that tells the direction."""
    low, high = sorted((abs(found.low), abs(found.high)))
    return f"{abs(found.value):.1f} ns [{low:.1f}, {high:.1f}]"


def plus_minus(found: Estimate, unit: str = "ns") -> str:
    """`+12.1 ns [10.0, 13.9]`."""
    if not math.isfinite(found.value):
        return "not measured"
    bounds = f" [{found.low:+.1f}, {found.high:+.1f}]" if math.isfinite(found.low) else ""
    return f"{found.value:+.1f} {unit}{bounds}"


def longer(found: Estimate) -> str:
    """`12.1 ns [10.0, 13.9] longer`, `shorter`, or that none can be told."""
    if not math.isfinite(found.value):
        return "an unmeasured time longer"
    if not math.isfinite(found.low) or found.low <= 0 <= found.high:
        return f"no surely different time ({plus_minus(found)})"
    word = "longer" if found.value > 0 else "less"
    return f"{amount(found)} {word}"


def phrase(found: Ratio, subject: str, other: str) -> str:
    """A clause that says what the verdict allows, with the ratio."""
    if found.cells == 0:
        return f"{subject} against {other} was not measured"
    if found.verdict == FASTER:
        return f"{subject} is faster than {other}, {times(found)}"
    if found.verdict == SLOWER:
        return f"{subject} is slower than {other}, {times(found)}"
    if found.verdict == FEW:
        return f"too few trials tell {subject} from {other} ({times(found)})"
    value, low, high = found.estimate
    if abs(value - 1) <= NOISE_THRESHOLD and not low <= 1 <= high:
        return f"{subject} and {other} differ by less than what is called noise, {times(found)}"
    if not low <= 1 <= high:
        return f"a difference between {subject} and {other} is likely but not sure, {times(found)}"
    return f"no difference seen between {subject} and {other}, {times(found)}"


def shown(found: Ratio) -> str:
    """A table's entry: `1.31 [1.27, 1.36]`, bold where the verdict is a difference."""
    if found.cells == 0:
        return "-"
    text = bracketed(found.estimate)
    return f"**{text}**" if found.verdict in (FASTER, SLOWER) else text


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` if empty."""
    if not items:
        return "none"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def counted(threads: Sequence[int]) -> str:
    """`at 1 thread`, `from 1 to 64 threads`."""
    if len(threads) == 1:
        return f"at {threads[0]} thread{'' if threads[0] == 1 else 's'}"
    return f"from {min(threads)} to {max(threads)} threads"


def upper(text: str) -> str:
    """The same beginning with a capital."""
    return text[:1].upper() + text[1:]


def by_verdict(ratios: Sequence[Ratio]) -> str:
    """`faster in 3, slower in 0, undecided in 7 of 10 cells`."""
    used = [entry for entry in ratios if entry.cells]
    won = sum(entry.verdict == FASTER for entry in used)
    lost = sum(entry.verdict == SLOWER for entry in used)
    return (
        f"faster in {won}, slower in {lost}, undecided in {len(used) - won - lost} "
        f"of {len(used)} cells"
    )
