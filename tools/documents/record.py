"""The table of docs/record.md, from the type of a record."""

from __future__ import annotations

from mtbench.runs.schema import fields
from plots.pages.table import markdown_table


def table() -> str:
    """A row per field."""
    rows = [[f"`{path}`", told] for path, told in fields()]
    return markdown_table(["field", "holds"], rows, align="l")
