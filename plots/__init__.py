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

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from plots.data import Run


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw from matplotlib's own settings, whatever is configured here: a matplotlibrc may ask for
    LaTeX, and a notebook's MPLBACKEND may name a package that only the notebook has. That a cache
    of fonts is built, or cannot be kept where there is no home, is nobody's concern: not told."""
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
    """Return the report of one run, or of several side by side and never averaged: one page of
    HTML that works offline. Raises ValueError for an empty sequence."""
    with own_settings():
        from plots.pages.page import html as page

        return page(runs)


def markdown(runs: Run | Sequence[Run]) -> str:
    """Return findings, the throughput tables and failures as GitHub-flavoured Markdown."""
    with own_settings():
        from plots.pages.markdown import markdown as text

        return text(runs)


def figures(run: Run) -> dict[str, Figure]:
    """Return every figure that the run has data for, by name ("throughput-mid_gap", ...)."""
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
    """Write figures to `directory` (made if missing) as svg, png or pdf; return the files.

    width_mm: width of each figure in millimetres, None for its own. dpi: pixels per inch, for png.
    Raises ValueError for an unknown format or a width or dpi that is not positive.
    """
    with own_settings():
        from plots.pages.export import export as write

        return write(run, directory, formats, width_mm=width_mm, dpi=dpi)


def sparkline(values: Iterable[float]) -> str:
    """Return one block character per value, scaled from zero to the largest; a space where nan."""
    from plots.pages.sparkline import sparkline as line

    return line(values)
