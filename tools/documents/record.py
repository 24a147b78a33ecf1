"""The table of docs/record.md, from the type of a record."""

from __future__ import annotations

from mtbench.base.table import markdown_table
from mtbench.runs.schema import fields


def table() -> str:
    """A row per field."""
    rows = [[f"`{path}`", told] for path, told in fields()]
    return markdown_table(["field", "holds"], rows, left=2)
