"""The figures of the README and of the guide, from the kept runs."""

from __future__ import annotations

from mtbench.commands.report import load
from plots import own_settings
from plots.drawings import catalogue
from plots.pages.export import save
from tools.repository import DATA, DOCS

CHOSEN = {
    "rank": {
        "throughput-mid_exchange": "mid_exchange.png",
        "heatmap": "guide/heatmap.svg",
        "trials-mid_exchange": "guide/trials-mid_exchange.svg",
        "kernel-mid_exchange": "guide/kernel-mid_exchange.svg",
        "memory-mid_exchange": "guide/memory-mid_exchange.svg",
    },
    "ladder": {"ladder-mid_gap": "guide/ladder-mid_gap.svg"},
}
"""Kept run -> figure -> its file under docs/figures, for the README and the guide."""


def draw() -> None:
    """Draw those of CHOSEN, 220 mm wide."""
    with own_settings():
        for run, files in CHOSEN.items():
            for entry in catalogue.entries(load(DATA / run)[2]):
                if entry.name in files:
                    save(entry.draw(220 / 25.4), DOCS / "figures" / files[entry.name], dpi=110)
