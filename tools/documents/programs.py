"""The table of docs/guide/program.md, from what `python -m tools.programs` kept."""

from __future__ import annotations

import json
import math

from mtbench.base.table import ratio
from plots.data import Estimate
from plots.pages.table import markdown_table
from tools.repository import DATA

HEADER = ("program", "allocator", "median", "/ system", "verdict", "CPU s", "peak MiB", "runs")


def table() -> str:
    """The machines, and a row per program and allocator."""
    kept = json.loads((DATA / "programs.json").read_text(encoding="utf-8"))
    rows = []
    for name, entry in kept.items():
        for cell in entry["cells"]:
            measures = cell["measures"]
            key = "requests/s" if "requests/s" in measures else "wall_s"
            typical = measures[key][0]
            over = Estimate(*cell["ratios"].get(key, [math.nan] * 3))
            spent = measures["user_s"][0] + measures["system_s"][0]
            rows.append(
                [
                    name,
                    cell["allocator"],
                    f"{typical:.3g} s" if key == "wall_s" else f"{typical:.0f}/s",
                    ratio(over).replace("-", "–"),
                    cell["verdict"] or ("no difference seen" if key in cell["ratios"] else "–"),
                    f"{spent:.2f}",
                    f"{measures['rss_peak'][0] / 2**20:.1f}",
                    str(cell["trials"]),
                ]
            )
    machines = ", ".join(sorted({entry["machine"] for entry in kept.values()}))
    return f"Measured on {machines}.\n\n" + markdown_table(HEADER, rows, align="llrrlr")
