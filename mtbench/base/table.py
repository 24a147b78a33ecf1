"""Plain tables and numbers for a terminal or a pipe: aligned text, no colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plots.numbers import BYTE_UNITS, PREFIXES, scaled

if TYPE_CHECKING:
    from plots.data import Estimate


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "lr") -> str:
    """Columns aligned by spaces. align: l or r, left or right, for each; the last letter is for all
    that follow, as for `plots.pages.table.markdown_table`."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    sides = align.ljust(len(header), align[-1])[: len(header)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if side == "l" else text.rjust(width)
            for text, width, side in zip(line, widths, sides, strict=True)
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


def number(value: float, *, digits: int = 3) -> str:
    """A number with `digits` significant digits and an SI letter above 1000; `-` if missing."""
    if not math.isfinite(value):
        return "-"
    size, letter = scaled(value, PREFIXES)
    return f"{_significant(size, digits)}{letter}"


def _significant(value: float, digits: int) -> str:
    """As many digits in each row, zeros at the end too: in a column they stand below each other."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}"


def bytes_(value: float) -> str:
    """A size in KiB, MiB or GiB; `-` if missing."""
    if not math.isfinite(value):
        return "-"
    size, unit = scaled(value, BYTE_UNITS)
    return f"{_significant(size, 3)} {unit}" if unit else f"{value:.0f} B"


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
