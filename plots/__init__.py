"""Numbers in, pictures and reports out.

`plots.data` says what the numbers look like; a caller fills in a `plots.data.Run` and asks:

- `html(run)` or `html([run, ...])` for a whole report in one offline page,
- `markdown(run)` for a pull request comment,
- `figures(run)` for every figure by name, `export(...)` to files,
- `sparkline(values)` for a terminal.

Importing this package costs nothing: numpy, matplotlib and jinja2 load with the first call.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

__all__ = ["export", "figures", "html", "markdown", "own_settings", "sparkline"]

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from plots.data import Run


@contextmanager
def own_settings() -> Iterator[None]:
    """Draws, within, from matplotlib's own settings, whatever is configured here.

    A matplotlibrc may ask for LaTeX, and a notebook's MPLBACKEND may name a package that only the
    notebook has. That a cache of fonts is built, or cannot be kept where there is no home, is
    nobody's concern: not told.
    """
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        try:
            import matplotlib
        finally:
            if backend is not None:
                os.environ["MPLBACKEND"] = backend
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            yield
    finally:
        log.setLevel(level)


def html(runs: Run | Sequence[Run]) -> str:
    """Returns the report of one run, or of several side by side: a page of HTML that works offline.

    Raises ValueError if there is no run.
    """
    with own_settings():
        from plots.pages.page import html as page

        return page(runs)


def markdown(runs: Run | Sequence[Run]) -> str:
    """Returns findings, throughput tables and failures as GitHub-flavoured Markdown.

    Raises ValueError if there is no run.
    """
    with own_settings():
        from plots.pages.markdown import markdown as text

        return text(runs)


def figures(run: Run) -> dict[str, Figure]:
    """Returns every figure that the run has data for, by name ("throughput-mid_gap", ...)."""
    with own_settings():
        from plots.drawings.catalogue import figures as drawn

        return drawn(run)


def export(
    run: Run,
    directory: Path,
    formats: Sequence[str] = ("svg",),
    *,
    width_mm: float | None = None,
    dpi: int = 150,
) -> list[Path]:
    """Writes figures into `directory` (made if missing), and returns the files.

    - `formats`: "svg", "png", "pdf"
    - `width_mm`: of each figure, millimetres; None: its own
    - `dpi`: pixels per inch of a png

    Raises ValueError if a format is unknown, or if a width or dpi is not positive.
    """
    with own_settings():
        from plots.pages.export import export as write

        return write(run, directory, formats, width_mm=width_mm, dpi=dpi)


def sparkline(values: Iterable[float]) -> str:
    """Returns a bar of one character per value, from zero to the largest; a space where nan."""
    from plots.pages.sparkline import sparkline as line

    return line(values)
