"""The registry's ladder: hakmem's switches in the order in which each takes one cost away."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A rung. options: as `hakmem:OPTIONS` takes them, "" for the default. isolates: what it shows
    beside the rung below. quick: in a quick sweep."""

    name: str
    options: str
    isolates: str
    quick: bool = False

    @property
    def label(self) -> str:
        """The allocator, as on the command line."""
        return f"hakmem:{self.options}" if self.options else "hakmem"

    def is_of(self, label: str) -> bool:
        """Whether an allocator stands on this rung, whatever other options it has."""
        wanted = self.options or f"registry={self.name}"
        found = re.search(rf"{re.escape(wanted)}(?![\w-])", label)
        return label == self.label or bool(label.startswith("hakmem") and found)


LADDER = (
    Step("cascade-leak", "route=cascade-leak", "the fault as it was: lookups, and blocks lost"),
    Step("cascade", "route=cascade", "four failed lookups before each free", quick=True),
    Step("locked", "registry=locked", "a search under one mutex on every free", quick=True),
    Step("prealloc-locked", "registry=prealloc-locked", "no growth of the table", quick=True),
    Step("prealloc-rwlock", "registry=prealloc-rwlock", "readers no longer exclude each other"),
    Step("prealloc-seqlock", "registry=prealloc-seqlock", "no lock on free", quick=True),
    Step("flat", "", "no search either: one load"),
)
"""Lowest first."""

REGISTRIES = tuple(step.name for step in LADDER if not step.options.startswith("route="))
"""The rungs that differ in the registry alone."""
