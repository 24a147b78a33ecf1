"""Numbers and verdicts as words. A word of praise or blame comes only from a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mtbench.analysis.statistics import NOISE_THRESHOLD
from mtbench.base.table import ratio as bracketed
from plots.data import Estimate
from study.analyse import FASTER, FEW, NONE, SLOWER, Difference, Ratio

Answer = dict[str, Any]
"""What a question's part of the document is filled with: names in its template, and their text."""


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
    text = f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]"
    return text.replace("-0%", "0%").replace("%", " %")


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


def longer(found: Difference, subject: str, other: str) -> str:
    """A clause that says how much longer the one takes than the other, if it may be said."""
    if found.trials == 0:
        return f"{subject} was not measured beside {other}"
    if found.trials < 3:
        return f"too few trials to tell {subject} from {other} ({plus_minus(found.estimate)})"
    if found.sign:
        word = "longer" if found.sign > 0 else "less"
        return f"{subject} takes {amount(found.estimate)} {word} than {other}"
    return f"{unseen(found)} between {subject} and {other} ({plus_minus(found.estimate)})"


def unseen(found: Difference) -> str:
    """That no difference is seen, and whether the bootstrap interval had it otherwise."""
    if found.estimate.low <= 0 <= found.estimate.high:
        return NONE
    return f"{NONE} by the rule, though the bootstrap interval excludes 0,"


def phrase(found: Ratio, subject: str, other: str) -> str:
    """A clause that says what the verdict allows, with the ratio."""
    if found.cells == 0:
        return f"{subject} against {other} was not measured"
    if found.verdict == FASTER:
        return f"{subject} is faster than {other}, {times(found)}"
    if found.verdict == SLOWER:
        return f"{subject} is slower than {other}, {times(found)}"
    if found.verdict == FEW:
        return f"too few trials to tell {subject} from {other} ({times(found)})"
    return f"{NONE} between {subject} and {other}{_why_none(found.estimate)}, {times(found)}"


def _why_none(found: Estimate) -> str:
    """What part of the rule forbids to call it a difference, if its interval excludes 1."""
    if found.low <= 1 <= found.high:
        return ""
    if abs(found.value - 1) <= NOISE_THRESHOLD:
        return f" by the rule, as the effect is at most {NOISE_THRESHOLD * 100:.0f} %"
    return " by the rule, though the bootstrap interval excludes 1"


def short(found: Ratio) -> str:
    """The verdict and the ratio: `faster, 1.31 x [1.27, 1.36]`."""
    return f"{found.verdict}, {times(found)}" if found.cells else "not measured"


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
    """`at 1 thread`, `at 1 and 2 threads`, `from 1 to 64 threads`."""
    if not threads:
        return "at no thread count"
    if len(threads) == 1:
        return f"at {threads[0]} thread{'' if threads[0] == 1 else 's'}"
    if len(threads) == 2:
        return f"at {threads[0]} and {threads[1]} threads"
    return f"from {min(threads)} to {max(threads)} threads"


def marked(threads: int, cores: int) -> str:
    """A table's thread count: `8 (> cores)` where cores are shared."""
    return f"{threads} (> cores)" if threads > cores else str(threads)


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
