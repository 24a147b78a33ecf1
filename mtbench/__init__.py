"""How does a malloc behave when threads are added, and why?

`mtbench.sweep(...)` measures a grid from Python and returns numpy arrays; the command line is
`mtbench --help`. Importing this package costs nothing; the rest loads with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtbench.api import Sweep, load, sweep

__all__ = ["Sweep", "load", "sweep"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mtbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'mtbench' has no attribute {name!r}")
