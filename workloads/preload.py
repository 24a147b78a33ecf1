"""How a library is named to LD_PRELOAD, whatever its path."""

from __future__ import annotations

import os
import re
from functools import lru_cache


@lru_cache(maxsize=64)
def preload_path(library: str) -> str:
    """A name by which LD_PRELOAD finds a library while this process runs: its path, or, as the
    linker splits at spaces and colons and expands `$`, one through an open descriptor of ours.

    The name leads through the folder where it can, so that a library finds its own neighbours.
    """
    folder, name = os.path.split(library)
    if not _SPLIT.search(library):
        return library
    held, rest = (library, "") if _SPLIT.search(name) else (folder, f"/{name}")
    return f"/proc/{os.getpid()}/fd/{os.open(held, os.O_PATH | os.O_CLOEXEC)}{rest}"


_SPLIT = re.compile(r"[ :$]")
