"""Where a machine's commands run: on this host or in a root, in a folder of its own.

A root is entered in a mount and process namespace of its own: what is mounted there, and what still
runs there, ends with the command, however it ends.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LIMIT_S = 3000.0
FACTS = """
import os, platform
print(platform.python_version(), os.confstr("CS_GNU_LIBC_VERSION"), sep=";")
"""
TAKEN = re.compile(r"PIP_|SSL_CERT|\w+_CA_BUNDLE|\w+_proxy$", re.IGNORECASE)
"""Variables that say how this machine reaches packages."""

_running: set[subprocess.Popen[str]] = set()
_ended = threading.Event()


class AbsentError(Exception):
    """This machine cannot be had here; the text says why."""


class FailedError(Exception):
    """A command failed; the text names it and ends with its last line."""


@dataclass(frozen=True)
class Row:
    """What happened on one machine; `ran` names the commands, the last of which may have failed."""

    machine: str
    python: str
    libc: str
    compiler: str
    ran: str
    result: str
    reason: str
    seconds: int


@dataclass
class Place:
    """One machine's folder, root and log. `facts`: its Python, libc and compiler, once known."""

    name: str
    source: Path
    build: Path
    log: IO[str]
    root: Path | None = None
    hidden: Sequence[str] = ()
    facts: tuple[str, str, str] = ("–", "–", "–")
    ran: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The machine's own folder, as the host sees it."""
        return (self.root / "srv" if self.root else self.build) / self.name

    def clear(self) -> None:
        """Removes the machine's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def clone(self, name: str = "mtbench") -> Path:
        """A fresh clone of HEAD in the machine's emptied folder, as the host sees it."""
        self.clear()
        self.folder.mkdir(parents=True)
        clone = self.folder / name
        self._do(["git", "clone", "--quiet", "--no-hardlinks", str(self.source), str(clone)])
        return clone

    def inside(self, path: Path) -> str:
        """A path of the host as the machine's commands see it."""
        return f"/{path.relative_to(self.root)}" if self.root else str(path)

    def ask(self, python: str, compiler: str = "cc") -> None:
        """Fills `facts`. Raises AbsentError if this host has no such Python with venv; that a root
        has none is a failure."""
        try:
            found = self._do(self._entered("/", [python, "-c", f"import ensurepip, venv\n{FACTS}"]))
        except FailedError:
            kind = FailedError if self.root else AbsentError
            raise kind(f"no {python} with venv that runs here") from None
        version, libc = found.strip().splitlines()[-1].split(";")
        name = "none"
        if compiler:
            name = self._do(self._entered("/", [compiler, "--version"])).splitlines()[0]
            name = re.sub(r"\s*\(.*?\)", "", name)
        self.facts = (version, libc, name)

    def run(self, what: str, folder: Path, command: Sequence[str]) -> str:
        """What a command put out, run in `folder`; recorded as `what`. Raises FailedError."""
        self.ran.append(what)
        try:
            return self._do(self._entered(self.inside(folder), command))
        except FailedError as error:
            raise FailedError(f"{what}: {error}") from None

    def silent(self, what: str, folder: Path, command: Sequence[str]) -> None:
        """The same, and it must not tell of caches, nor how it came to grief."""
        found = re.search(
            r"(?im)^.*(matplotlib|fontconfig|traceback).*$", self.run(what, folder, command)
        )
        if found:
            raise FailedError(f"{what}: says: {found[0].strip()}")

    def _do(self, command: Sequence[str]) -> str:
        """Runs a command, its output to the log. Raises FailedError with the last line, and
        KeyboardInterrupt once all was ended."""
        if _ended.is_set():
            raise KeyboardInterrupt
        print(f"$ {shlex.join(command)}", file=self.log, flush=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=host_environment(),
            start_new_session=True,
        )
        _running.add(process)
        stop = threading.Timer(LIMIT_S, end, [process])
        stop.start()
        lines = []
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                self.log.write(line)
                self.log.flush()
            code = process.wait()
        finally:
            stop.cancel()
            _running.discard(process)
        if code and _ended.is_set():
            raise KeyboardInterrupt
        if code:
            # What make and pip say last is only that something failed.
            beside = ("make: ***", "WARNING: ")
            told = [s for line in lines if (s := line.strip()) and not s.startswith(beside)]
            errors = [line for line in told if re.search(r"error[: ]", line, re.IGNORECASE)]
            last = (errors or told or ["says nothing"])[-1]
            raise FailedError(f"exit code {code}: {last}")
        return "".join(lines)

    def _entered(self, folder: str, command: Sequence[str]) -> list[str]:
        """The command that runs `command` in a folder of this place."""
        if self.root is None:
            return ["env", "-C", folder, *command]
        mounts = [f"mount -t proc proc {quoted(self.root, '/proc')}"]
        mounts += [f"mount --rbind {path} {quoted(self.root, path)}" for path in ("/dev", "/sys")]
        for path in shared_paths():
            target = self.root / path.lstrip("/")
            if Path(path).is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            mounts.append(f"mount -o bind,ro {shlex.quote(path)} {quoted(self.root, path)}")
        mounts += [f"mount --bind /dev/null {quoted(self.root, path)}" for path in self.hidden]
        kept = [f"{k}={v}" for k, v in os.environ.items() if TAKEN.match(k)]
        variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", *kept]
        enter = ["chroot", str(self.root), "env", "-i", "-C", folder, *variables, *command]
        script = " && ".join([*mounts, f"exec {shlex.join(enter)}"])
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]


def quoted(root: Path, path: str) -> str:
    """An absolute path inside a root, for a shell of the host."""
    return shlex.quote(f"{root}{path}")


def host_environment() -> dict[str, str]:
    """This process's environment without what `make` and this Python add to it."""
    drop = re.compile(r"MAKE|MFLAGS|PYTHON|VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not drop.match(name)}


def pip_settings() -> dict[str, str]:
    """What pip's configuration files say on this machine, by section.name."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return {k: ast.literal_eval(v) for k, v in settings.items() if not k.startswith(":env:")}


def write_pip_settings(root: Path) -> None:
    """Puts this machine's pip settings into a root's /etc/pip.conf."""
    parser = configparser.RawConfigParser()
    for name, value in pip_settings().items():
        section, _, option = name.partition(".")
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, option, value)
    with (root / "etc" / "pip.conf").open("w", encoding="utf-8") as file:
        parser.write(file)


def shared_paths() -> list[str]:
    """What reaching packages needs of this machine's files, a folder before what it holds."""
    texts = [value for name, value in os.environ.items() if TAKEN.match(name)]
    words = " ".join([*texts, *pip_settings().values()]).split()
    # The pages of an index in a folder link to files beside that folder.
    named = {re.sub(r"^file://(.+)/[^/]+/?$", r"\1", word) for word in words}
    named |= {"/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs"}
    return sorted(path for path in named if path.startswith("/") and Path(path).exists())


def end(process: subprocess.Popen[str]) -> None:
    """Ends a command and what it started: the first process of a root takes no SIGTERM that it
    does not handle, so it is killed then."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def end_all() -> None:
    """Ends every command that runs, and lets none start."""
    _ended.set()
    for process in list(_running):
        end(process)
