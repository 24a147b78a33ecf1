"""Which malloc serves a process that is looked at from outside, and what was seen of it.

Three answers. *Served*: the library is mapped and the process's LD_PRELOAD names it first, or it
is the fork of such a process; the first preloaded malloc serves whatever a program links itself.
*Unserved*: it runs without, and `why` says what is the matter. *Unseen*: it ended, or executed
another program, before either could be told, or it may not be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtbench import procfs
from mtbench.program import is_static

State = Literal["served", "unserved", "unseen"]
_LIBC = re.compile(r"/(libc\.so|libc-2|ld-musl|libc\.musl)\S*$", re.MULTILINE)


@dataclass
class Sighting:
    """One process. image: as in `procfs.Stat`; peak: the kernel's own high-water mark of its
    memory, bytes; cpu_s: at the last look, and at most once it is gone; at: when that was."""

    name: str = ""
    state: State = "unseen"
    why: str = ""
    image: tuple[str, ...] = ()
    peak: int = 0
    reaped: int = 0
    cpu_s: float = 0.0
    at: float = 0.0
    threads: int = 1
    gone: bool = False

    def judge(self, pid: int, expect: str, served: Container[tuple[str, ...]]) -> None:
        """Set name, state and why. served: images of processes that are served. The loader maps
        libc after what is preloaded, so a mapped libc says that it is done."""
        root = Path(f"/proc/{pid}")
        self.name = procfs.name(pid) or self.name
        self.state, self.why = "unseen", ""
        try:
            # Maps last: if they are whole, the environment read before them was not of a corpse.
            variables = (root / "environ").read_bytes().split(b"\0")
            static = is_static(root / "exe")
            maps = (root / "maps").read_text(errors="replace")
        except PermissionError:
            self.why = "it may not be looked at, as a program that changes its user"
            return
        except OSError:
            return
        if "[stack]" not in maps:
            return
        if static:
            self._refuse("it is statically linked")
        elif not _LIBC.search(maps):
            self.why = "no C library was mapped in it yet"
        elif f" {expect}\n" not in maps:
            asked = any(entry.startswith(b"LD_PRELOAD=") for entry in variables)
            self._refuse(
                "its loader did not take the library that LD_PRELOAD names"
                if asked
                else "LD_PRELOAD is gone from its environment"
            )
        elif self.image not in served and not _first(variables, expect):
            self._refuse("its LD_PRELOAD does not name that library first")
        else:
            self.state = "served"

    def _refuse(self, why: str) -> None:
        self.state, self.why = "unserved", why


def _first(variables: list[bytes], expect: str) -> bool:
    """Whether LD_PRELOAD begins with the library."""
    for entry in variables:
        if entry.startswith(b"LD_PRELOAD="):
            return re.split(rb"[ :]", entry[11:])[0] == expect.encode()
    return False
