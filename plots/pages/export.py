"""Figures as files: svg, png and pdf, at a chosen width."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import matplotlib

from plots.data import Run
from plots.drawings import catalogue
from plots.paper import svg
from plots.paper.sheet import WIDTH, Drawing

FORMATS = ("svg", "png", "pdf")
INCH_MM = 25.4
# Narrower than this, direct labels and panels no longer fit beside each other.
LEAST_MM = 100.0
# A fixed creation date, so that equal figures are equal files.
PDF_METADATA: dict[Any, Any] = {"CreationDate": None, "Creator": "mtbench", "Producer": None}


def export(
    run: Run,
    directory: Path,
    formats: Sequence[str] = ("svg",),
    *,
    width_mm: float | None = None,
    dpi: int = 150,
) -> list[Path]:
    """Write every figure of the run in each format; return the files in reading order.

    A figure is laid out anew for the width, so that its text keeps its size; panels that no
    longer fit beside each other go below. Raises ValueError for an unknown format, a width below
    100 mm or above 1000 mm, or a dpi outside 30..1200.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f"unknown figure format {unknown[0]!r}; accepted: {', '.join(FORMATS)}")
    inches = WIDTH
    if width_mm is not None:
        if not (isfinite(width_mm) and LEAST_MM <= width_mm <= 1000):
            raise ValueError(f"figure width {width_mm} mm; accepted: {LEAST_MM:.0f} to 1000")
        inches = width_mm / INCH_MM
    if not 30 <= dpi <= 1200:
        raise ValueError(f"figure resolution {dpi} dpi; accepted: 30 to 1200")
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in catalogue.entries(run):
        if not entry.present:
            continue
        figure: Drawing | None = None
        for name in formats:
            path = directory / f"{_file_name(entry.name)}.{name}"
            if name == "svg" and inches == WIDTH:
                shared = catalogue.rendered(run, entry)
                path.write_text(svg.standalone(shared), encoding="utf-8")
            else:
                figure = figure or entry.draw(inches)
                save(figure, path, dpi=dpi)
            written.append(path)
    return written


def save(figure: Drawing, path: Path, *, dpi: int = 150) -> None:
    """Write one figure; the suffix says the format. png and pdf are on white paper."""
    if path.suffix == ".svg":
        path.write_text(svg.standalone(svg.rendered(figure)), encoding="utf-8")
    elif path.suffix == ".pdf":
        with matplotlib.rc_context({"pdf.fonttype": 42}):
            figure.savefig(path, facecolor="white", metadata=PDF_METADATA)
    else:
        figure.savefig(path, dpi=dpi, facecolor="white", metadata={"Software": None})


def _file_name(name: str) -> str:
    """Return the name with everything but letters, digits, dots and dashes as underscores."""
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
