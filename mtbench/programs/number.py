"""A number in a program's output: what --metric asks for."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtbench.errors import UsageError

_FIXED = ("allocator", "program", "trials", "runs", "failed", "verdict", "order", "processes")

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


@dataclass(frozen=True)
class Number:
    """A number in the program's output: the last match's first group. lower: smaller is better.

    Where the output itself says `name=` before what the pattern matches, only that counts: so
    `throughput=([0-9.]+)` is the number behind "throughput=", not the last number of all.
    """

    name: str
    pattern: str
    lower: bool = False

    def find(self, output: str) -> float:
        """The number in `output`. Raises ValueError if there is none, or it may mean two."""
        found = self._last(output)
        if found is None:
            raise ValueError(f"no number for --metric '{self.pattern}' in the output")
        try:
            return plain(_whole(found, output))
        except ValueError as error:
            raise ValueError(f"--metric '{self.pattern}' found {error}") from None

    def _last(self, output: str) -> re.Match[str] | None:
        told = None
        with contextlib.suppress(re.error):  # flags in front of the pattern
            told = re.compile(f"{re.escape(self.name)}=(?:{self.pattern})", re.MULTILINE)
        for pattern in (told, re.compile(self.pattern, re.MULTILINE)):
            matches = pattern.finditer(output) if pattern else ()
            if found := [match for match in matches if match[1] is not None][-1:]:
                return found[0]
        return None


def _whole(match: re.Match[str], output: str) -> str:
    """The first group. Raises ValueError if it is cut out of a longer number: `([0-9.]+) per` finds
    234.5 in "1,234.5 per second"."""
    start, end = match.span(1)
    before = re.search(r"[\d.,]*\Z", output[max(0, start - 40) : start])
    after = re.match(r"[.,]?\d[\d.,]*|[eE][+-]?\d+", output[end : end + 40])
    lead = before[0] if before and start == match.start() and re.search(r"\d", before[0]) else ""
    rest = after[0] if after and end == match.end() else ""
    if lead or rest:
        raise ValueError(
            f"'{match[1]}', a part of '{lead}{match[1]}{rest}'; accepted: a regular expression "
            "that also matches what stands beside the number"
        )
    return match[1]


def plain(text: str) -> float:
    """A finite number; thousands may be set apart by commas where that can mean nothing else.

    Raises ValueError with the text and what is wrong with it.
    """
    text = text.strip()
    if _GROUPED.fullmatch(text) and (text.count(",") > 1 or "." in text):
        text = text.replace(",", "")
    elif "," in text and _PLAIN.fullmatch(text.replace(",", "")):
        raise ValueError(
            f"'{text}', in which the comma may set apart thousands or decimals; accepted: numbers "
            "such as 1500.5 (many programs write them under LC_ALL=C)"
        )
    if not _PLAIN.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError(f"'{text}', which is no finite number")
    return value


def number(text: str, *, lower: bool = False) -> Number:
    """`NAME=REGEX` or `REGEX`; the regular expression has a group around the number.

    Raises UsageError.
    """
    match = re.match(r"([A-Za-z][\w /-]*)=", text)
    name, pattern = (match[1].strip(), text[match.end() :]) if match else ("metric", text)
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UsageError(f"--metric '{text}' is no regular expression: {error}") from error
    if groups < 1:
        raise UsageError(
            f"--metric '{text}' has no group around the number; accepted: "
            r"'requests per second=([\d.]+) requests per second'"
        )
    return Number(name, pattern, lower)


def numbers(texts: Sequence[str], measures: Iterable[str], *, lower: bool) -> tuple[Number, ...]:
    """Every --metric. measures: what a run has anyway. Raises UsageError, also for a name whose
    columns another one has: one would hide the other."""
    found = tuple(number(text, lower=lower) for text in texts)
    taken = set(_FIXED).union(*map(_columns, measures))
    for entry in found:
        if taken & _columns(entry.name):
            raise UsageError(
                f"--metric '{entry.name}={entry.pattern}': there is a '{entry.name}' already; "
                f"accepted: a name of its own for each, as in 'my {entry.name}=REGEX'"
            )
        taken |= _columns(entry.name)
    return found


def _columns(name: str) -> set[str]:
    """What a measure is called in tables, in lower case."""
    ends = ("", "_low", "_high")
    return {f"{start}{end}".lower() for start in (name, f"{name}_ratio") for end in ends}
