"""Sizes and how often each was asked for, from a text file as spreadsheets and tracers write them.

A line is a size and a count, apart by a comma, a semicolon, a tab or spaces. A size may be `4K`,
`0x40`, or a range: `[lo, hi)` without its end, `[lo, hi]` and `lo - hi` with it. Names in the first
line say which column is which; a text after `#`, and the names and bars that tracers write, are
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from workloads.errors import SpecError

ALLOWED = "a size and a count, such as 64,10 or [16, 32) 10, or the names size and count"
MOST_BYTES = 64 << 20
POINTS = 16
"""Sizes, evenly spread, that stand for those of a range."""

_SIZE = r"(?:0x[0-9a-f]{1,8}|\d{1,12})\s?(?:[kmg](?:i?b)?|b)?"
_RANGE = rf"[\[(]\s*{_SIZE}\s*(?:[,;]\s*{_SIZE}\s*)?[\])]|{_SIZE}\s*(?:-|->|\.\.)\s*{_SIZE}"
_LINE = re.compile(
    rf"(?P<size>{_RANGE}|{_SIZE})\s*(?:[,;:\t]|\s)\s*(?P<count>\d{{1,18}}(?:\.\d{{1,18}})?"
    r"(?:e[+-]?\d{1,2})?)(?:\s*\|.*)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NAMES = {
    **dict.fromkeys(("size", "sizes", "bytes", "block_size", "request"), "size"),
    **dict.fromkeys(("count", "counts", "weight", "frequency", "freq", "calls", "number"), "count"),
}

Pair = tuple[int, float]
"""A size in bytes, its count."""


def read(path: Path) -> tuple[Pair, ...]:
    """Every size of the file, in its order. Raises SpecError with the number of the bad line."""
    columns: list[str] | None = None
    pairs: list[Pair] = []
    first = True
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text or (text.startswith("@") and text.endswith(":")):
            continue
        if first:
            first, columns = False, _names(text)
            if columns:
                continue
        try:
            pairs += _pairs(text if columns is None else _picked(text, columns))
        except ValueError:
            shown = text if len(text) <= 60 else f"{text[:60]}..."
            raise SpecError(
                f"sizes.path = {str(path)!r}, line {number}: {shown!r}: must be {ALLOWED}"
            ) from None
    if not pairs:
        raise SpecError(f"sizes.path = {str(path)!r}: has no line with {ALLOWED}")
    return tuple(pairs)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file" if not path.exists() else "is no file")
        if path.stat().st_size > MOST_BYTES:
            raise OSError(27, f"more than {MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
        # Spreadsheets mark their text files; some write two bytes per character.
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return data.decode("utf-16" if wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"sizes.path = {str(path)!r}: must be a readable text file of lines size,count"
            f" ({getattr(error, 'strerror', None) or 'not UTF-8 text'})"
        ) from None


def _fields(text: str) -> list[str]:
    """The columns of a line; a comma or semicolon inside brackets parts none."""
    for separator in (r";", r"\t", r",", r"\s+"):
        parts = re.split(rf"{separator}(?![^\[(]*[\])])", text)
        if len(parts) > 1:
            break
    return [part.strip().strip('"').strip() for part in parts]


def _names(text: str) -> list[str] | None:
    """What each column holds, if a line names size and count."""
    found = [_NAMES.get(re.sub(r"\s*[(\[].*", "", name.lower()), "") for name in _fields(text)]
    return found if found.count("size") == found.count("count") == 1 else None


def _picked(text: str, columns: list[str]) -> str:
    fields = _fields(text)
    if len(fields) != len(columns):
        raise ValueError
    return f"{fields[columns.index('size')]}\t{fields[columns.index('count')]}"


def _pairs(text: str) -> Iterator[Pair]:
    match = _LINE.fullmatch(text.replace('"', ""))
    if match is None:
        raise ValueError
    where, count = match["size"], float(match["count"])
    ends = [_bytes(size) for size in re.findall(_SIZE, where, re.IGNORECASE | re.ASCII)]
    low, high = ends[0], ends[-1]
    if len(ends) == 2:
        low += where.startswith("(")
        high -= where.endswith(")")
    if low > high:
        raise ValueError
    wanted = high - low + 1
    places = min(wanted, POINTS)
    for place in range(places):
        # A malloc of 0 bytes gives the smallest block there is, as one of 1 byte does.
        yield max(1, low + wanted * (2 * place + 1) // (2 * places)), count / places


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(0x[0-9a-f]+|\d+)\s?([kmg]?)(?:i?b)?", text.strip().lower(), re.ASCII)
    if match is None:
        raise ValueError
    return int(match[1], 16 if match[1].startswith("0x") else 10) * _UNITS[match[2]]
