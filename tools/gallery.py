"""Every figure in every condition on one page, to be looked at: `python -m tools.gallery OUTDIR`.

Also writes a whole report of each condition. All numbers are made up (see tools.specimen).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from plots.drawings import catalogue, hosts
from plots.pages import export, page
from plots.paper.sheet import WIDTH
from tools import specimen

# In inches: the width of a report, of a page of A4, and of a column in a two-column paper.
WIDTHS = (WIDTH, 6.3, 3.94)


def write(directory: Path) -> Path:
    """Write the gallery below `directory` (made if missing); return its index page."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = []
    for condition, make in specimen.CONDITIONS.items():
        run = make()
        stem = condition.replace(",", "").replace(" ", "-")
        report = directory / f"{stem}.html"
        report.write_text(page.html(run), encoding="utf-8")
        images = []
        for entry in catalogue.entries(run):
            path = directory / f"{stem}-{entry.name}.png"
            export.save(entry.draw(WIDTH), path, dpi=100)
            images.append((entry.name, path.name))
        parts.append(_section(condition, report.name, images))
    parts.append(_side_by_side(directory))
    parts.append(_widths(directory))
    index = directory / "index.html"
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>Gallery</title>"
    look = "<style>body{font:16px sans-serif;margin:2rem}img{max-width:100%;border:1px solid #ddd}"
    index.write_text(f"{head}{look}</style><h1>Gallery</h1>{''.join(parts)}", encoding="utf-8")
    return index


def _section(title: str, report: str, images: Sequence[tuple[str, str]]) -> str:
    shown = "".join(
        f'<h3>{name}</h3><img src="{file}" alt="{name}" loading="lazy">' for name, file in images
    )
    return f'<h2>{title}</h2><p><a href="{report}">whole report</a></p>{shown}'


def _side_by_side(directory: Path) -> str:
    runs = specimen.two_hosts()
    (directory / "two-hosts.html").write_text(page.html(runs), encoding="utf-8")
    images = []
    for name, draw in (("by-host", hosts.by_host), ("by-allocator", hosts.by_allocator)):
        path = directory / f"two-hosts-{name}.png"
        export.save(draw(runs, "mid_gap"), path, dpi=100)
        images.append((name, path.name))
    return _section("two hosts", "two-hosts.html", images)


def _widths(directory: Path) -> str:
    run = specimen.full()
    images = []
    for width in WIDTHS[1:]:
        for entry in catalogue.entries(run):
            if entry.present:
                path = directory / f"width-{width}-{entry.name}.png"
                export.save(entry.draw(width), path, dpi=100)
                images.append((f"{entry.name}, {width} inches", path.name))
    return _section("narrow", "two-hosts.html", images)


def main(arguments: Sequence[str]) -> int:
    """Write the gallery into the directory named by the only argument; return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m tools.gallery OUTDIR", file=sys.stderr)
        return 2
    print(write(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
