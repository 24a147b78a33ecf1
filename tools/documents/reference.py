"""What a document tells of the code: every field of a record, from its type."""

from __future__ import annotations

from mtbench.base.table import markdown_table
from mtbench.runs.schema import fields


def record() -> str:
    """A row per field of a record."""
    rows = [[f"`{path}`", told] for path, told in fields()]
    return markdown_table(["field", "holds"], rows, left=2)
