"""Plain tables and numbers for a terminal or a pipe: aligned text, no colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plots.data import Estimate


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Columns aligned by spaces; the first `left` columns to the left, the rest to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def printable(value: Any) -> Any:
    """A text with what no page, picture or terminal shows written as an escape: control characters,
    and bytes of a name that are no UTF-8. In tables and lists: each text."""
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(
            c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
            for c in value
        )
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, (list, tuple)) else value


def one_line(message: str) -> str:
    """An error as it is shown: what it quotes may be thousands of characters, or none that show."""
    text = printable(" ".join(message.split()))
    return text if len(text) <= 2000 else f"{text[:1000]} ... {text[-500:]}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """The same as a GitHub-flavoured Markdown table."""
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def number(value: float, *, digits: int = 3) -> str:
    """A number with `digits` significant digits and an SI letter above 1000; `-` if missing."""
    if not math.isfinite(value):
        return "-"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{_significant(value / factor, digits)}{letter}"
    return _significant(value, digits)


def _significant(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}"


def bytes_(value: float) -> str:
    """A size in KiB, MiB or GiB; `-` if missing."""
    if not math.isfinite(value):
        return "-"
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= factor:
            return f"{_significant(value / factor, 3)} {unit}"
    return f"{value:.0f} B"


def ratio(estimate: Estimate) -> str:
    """`1.31 [1.27, 1.36]`; without an interval only the value; `-` if missing."""
    if not math.isfinite(estimate.value):
        return "-"
    if not math.isfinite(estimate.low):
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def duration(seconds: float) -> str:
    """`1 h 05 min`, `3 min 20 s` or `12 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def named(places: Mapping[str, str], most: int = 5) -> str:
    """`place (why), place (why) and 3 more`, for one line."""
    words = [f"{place} ({why})" for place, why in list(places.items())[:most]]
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(words) + more
