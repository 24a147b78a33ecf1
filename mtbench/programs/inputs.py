"""The files that a program reads, and how they come into the folder where it runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mtbench.errors import UsageError
from mtbench.mallocs.allocators import file_hash
from mtbench.programs.makers import MAKERS

_MOST = 1 << 30
"""Bytes of an input: who types a count wrong shall not fill a disk."""


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file from one source: `make`, one of `makers.MAKERS`, with its `count`; `shell`, a command
    whose output it is; `text`, itself; or `file`, a path. sha256: of its bytes, in hex; "" for any.
    """

    make: str = ""
    count: int = 0
    shell: str = ""
    text: str = ""
    file: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.make, self.shell, self.text, self.file))) != 1:
            raise ValueError("an input has one of make, shell, text and file")
        if self.make and self.make not in MAKERS:
            raise ValueError(f"make '{self.make}' is none of {', '.join(MAKERS)}")
        if self.make and not 1 <= self.count <= 100_000_000:
            raise ValueError(f"count {self.count} is not 1 to 100000000")


def provide(inputs: Mapping[str, Input], folder: Path) -> None:
    """Put inputs into a folder, each under its name.

    Raises UsageError, one line that names it, for one that cannot be made, or is not what its hash
    says.
    """
    for name, each in inputs.items():
        target = folder / name
        try:
            _put(each, target, folder)
        except OSError as error:
            raise UsageError(f"input {name}: {error.filename or ''} {error.strerror}") from None
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UsageError(
                f"input {name}: '{each.shell}' failed (exit {error.returncode})"
                + (f": {last[0]}" if last else "")
            ) from None
        if each.sha256 and (found := file_hash(str(target))) != each.sha256:
            raise UsageError(f"input {name} has the SHA-256 {found}, not {each.sha256}")


def _put(each: Input, target: Path, folder: Path) -> None:
    if each.file:
        shutil.copyfile(each.file, target)
        return
    with target.open("wb") as file:
        if each.shell:
            subprocess.run(
                ["sh", "-c", each.shell],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                check=True,
            )
            return
        size = 0
        for piece in [each.text] if each.text else MAKERS[each.make](each.count):
            size += file.write(piece.encode())
            if size > _MOST:
                raise OSError(0, f"is larger than {_MOST >> 20} MiB; accepted: a smaller count")
