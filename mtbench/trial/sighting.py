"""Which malloc serves a process that is looked at from outside, and what was seen of it.

Three answers. *Served*: the library is mapped and the process's LD_PRELOAD names it as the first
malloc, or it is the fork of such a process; the first preloaded malloc serves whatever a program
links itself. A server may write its title over its environment, and then shows no LD_PRELOAD: of
the one that was started from here it is known.
*Unserved*: it runs without, and `why` says what is the matter. *Unseen*: it ended, or executed
another program, before either could be told, or it may not be looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtbench.machine import procfs
from mtbench.programs.program import is_static
from workloads.native import deepbind_library
from workloads.preload import preload_path

State = Literal["served", "unserved", "unseen"]
_LIBC = re.compile(r"/(libc\.so|libc-2|ld-musl|libc\.musl)\S*$", re.MULTILINE)


@dataclass
class Sighting:
    """One process. image: as in `procfs.Stat`; peak: Linux's own high-water mark of its
    memory, bytes; cpu_s: at the last look, estimated to its end once it is gone; at: when that was;
    pace: CPU seconds per second between the last two looks; fork: its image is that of a process
    that is served; looks: how often it was found alive with it."""

    name: str = ""
    state: State = "unseen"
    why: str = ""
    image: tuple[str, ...] = ()
    peak: int = 0
    reaped: int = 0
    cpu_s: float = 0.0
    at: float = 0.0
    pace: float = 1.0
    fork: bool = False
    looks: int = 0
    gone: bool = False

    def ran(self, cpu_s: float, now: float) -> None:
        """Note its CPU time at a look."""
        if self.at and now > self.at:
            self.pace = (cpu_s - self.cpu_s) / (now - self.at)
        self.cpu_s, self.at = cpu_s, now
        self.looks += 1

    def went(self) -> None:
        """It is gone. A fork that was seen once may have executed anything after that."""
        self.gone = True
        if self.fork and self.looks < 2:
            self.state = "unseen"

    def ended(self, now: float) -> float:
        """Its CPU time if it ended at some moment between the last look and `now`."""
        return self.cpu_s + self.pace * (now - self.at) / 2 if self.at else 0.0

    def judge(
        self, pid: int, expect: str, served: Container[tuple[str, ...]], *, ours: bool = False
    ) -> None:
        """Set name, state and why. served: images of processes that are served. ours: it was
        started from here, the library preloaded first. The loader maps libc after what is
        preloaded, so a mapped libc says that it is done."""
        root = Path(f"/proc/{pid}")
        self.state, self.why, self.fork, self.looks = "unseen", "", self.image in served, 0
        try:
            # Maps last: if they are whole, the environment read before them was not of a corpse.
            asked = _preloads(root)
            maps = (root / "maps").read_text(errors="surrogateescape")
            static = not _LIBC.search(maps) and is_static(root / "exe")
        except PermissionError:
            self.why = "it may not be looked at, as a program that changes its user"
            return
        except OSError:
            return
        self.name = procfs.name(pid) or self.name
        if "[stack]" not in maps:
            return
        mapped = f" {expect}\n" in maps
        if static:
            self._refuse("it is statically linked")
        elif not _LIBC.search(maps):
            self.why = "no C library was mapped in it yet"
        elif not asked and not (mapped and (self.fork or ours)):
            # While a program is being executed its environment reads as empty.
            with contextlib.suppress(OSError):
                if not _preloads(root):
                    self._refuse("LD_PRELOAD is gone from its environment")
        elif not mapped:
            self._refuse("its loader did not take the library that LD_PRELOAD names")
        elif asked and not self.fork and not _first(asked[0], expect):
            self._refuse("its LD_PRELOAD does not name that library first")
        else:
            self.state = "served"

    def _refuse(self, why: str) -> None:
        self.state, self.why = "unserved", why


def _preloads(root: Path) -> list[bytes]:
    """LD_PRELOAD=..., if it is in the environment of a process. Raises OSError."""
    variables = (root / "environ").read_bytes().split(b"\0")
    return [entry for entry in variables if entry.startswith(b"LD_PRELOAD=")]


def _first(entry: bytes, expect: str) -> bool:
    """Whether LD_PRELOAD=... begins with the library, or with ours that is no malloc and it."""
    names = re.split(rb"[ :]", entry[11:])
    beside = os.fsencode(preload_path(str(deepbind_library())))
    return names[names[0] == beside :][:1] == [os.fsencode(preload_path(expect))]
