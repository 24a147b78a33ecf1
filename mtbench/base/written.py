"""Files that this tool leaves: each whole or not at all, and never in the place of another's.

What was written into a folder is kept there by name and hashes in `LIST`. A file that is not
listed, or that was changed since, is somebody's: it is neither replaced nor removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mtbench.errors import UsageError

LIST = ".mtbench-files"


def write_whole(path: Path, data: bytes | str) -> None:
    """Replace a file in one step, so that a reader, or a crash, never sees half of it."""
    if isinstance(data, str):
        # A name of the command line that is no UTF-8 is shown by its bytes.
        data = data.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a device or a pipe stays what it is
        return
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write files into; at the end they take their places in `folder`, made if
    missing, all of them or, where one would replace what is not this tool's, none.

    Listed files of a subfolder that was written anew are removed where the new one has none of
    that name. Raises UsageError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".mtbench-", dir=folder) as draft:
            yield Path(draft)
            _put(Path(draft), folder)
    finally:
        # Empty only if nothing was written and nothing was there.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _put(draft: Path, folder: Path) -> None:
    files = [path for path in sorted(draft.rglob("*")) if path.is_file()]
    fresh = {str(path.relative_to(draft)): [_hash(path)] for path in files}
    known = _listed(folder)
    for name in fresh:
        target = folder / name
        if os.path.lexists(target) and not _is_own(target, known.get(name, [])):
            raise UsageError(
                f"{target} was not written by this tool, or was changed since; nothing was "
                "written: move it, or give another -o"
            )
    renewed = {Path(name).parent for name in fresh} - {Path()}
    old = [name for name in known if name not in fresh and Path(name).parent in renewed]
    # Listed before they are there, beside what they replace: a crash on the way leaves nothing
    # that is nobody's.
    either = {name: known.get(name, []) + hashes for name, hashes in fresh.items()}
    _list(folder, known | either)
    for name in fresh:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(folder / name)
    for name in old:
        if _is_own(folder / name, known.pop(name)):
            (folder / name).unlink()
    _list(folder, known | fresh)


def _is_own(path: Path, hashes: list[str]) -> bool:
    return path.is_file() and _hash(path) in hashes


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _list(folder: Path, files: dict[str, list[str]]) -> None:
    write_whole(folder / LIST, json.dumps(files, indent=1) + "\n")


def _listed(folder: Path) -> dict[str, list[str]]:
    """What the folder's list has; nothing of a list that is damaged."""
    try:
        kept = json.loads((folder / LIST).read_bytes())
        return {name: [*map(str, hashes)] for name, hashes in kept.items()}
    except (FileNotFoundError, ValueError, RecursionError, AttributeError, TypeError):
        return {}
