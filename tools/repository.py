"""Where the repository keeps its documents and what they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DATA = DOCS / "data"

Json = dict[str, Any]
"""A document of `DATA` as it is read and written."""
