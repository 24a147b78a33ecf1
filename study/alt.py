"""Short texts for those who cannot see a figure: its range at one end, with units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plots.numbers import compact
from plots.paper import curves
from study.marks import Format


@dataclass(frozen=True)
class Shown:
    """A panel's lines as words: what it shows, how its numbers are written and their unit, which
    is empty where `form` writes it."""

    what: str
    lines: Sequence[curves.Series]
    unit: str = ""
    form: Format = compact


def at_the_end(panels: Sequence[Shown], point: str = "{} threads") -> str:
    """A sentence with the lowest and the highest of each panel at its last point, if it has any."""
    clauses: dict[int, list[str]] = {}
    for panel in panels:
        points = [int(n) for line in panel.lines for n in line.threads]
        ranked = curves.at(panel.lines, max(points, default=0))
        if ranked:
            clauses.setdefault(max(points), []).append(f"{panel.what} {_range(panel, ranked)}")
    return " ".join(
        f"At {point.format(_plain(count))}: {'; '.join(found)}." for count, found in clauses.items()
    )


def _range(panel: Shown, ranked: Sequence[tuple[curves.Series, float]]) -> str:
    (top, high), (bottom, low) = ranked[0], ranked[-1]
    unit = f" {panel.unit}" if panel.unit else ""
    if panel.form(low) == panel.form(high):
        return f"{panel.form(high)}{unit}{' for all' if ranked[1:] else ''}"
    return f"{panel.form(low)} ({bottom.text}) to {panel.form(high)}{unit} ({top.text})"


def _plain(count: int) -> str:
    return f"{count:,}".replace(",", " ")
