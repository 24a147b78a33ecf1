"""A program of the catalogue, or of a TOML file: what it stands for, needs and runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from mtbench.errors import UsageError
from mtbench.programs.inputs import Input
from mtbench.programs.number import number
from mtbench.programs.program import Program

tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

STDOUT = "stdout"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A program and everything around it.

    - `command`: as typed, in a folder of its own that holds the inputs. `{threads}` in it makes it
      a program with a thread axis, `{port}` stands for a free port; so in `client`, `ready`,
      `prepare`, `check` and `environment`.
    - `stands_for`: what a reader learns from it, one line.
    - `packages`: Debian's names of what brings it. `needs`: executables beside the first word.
    - `stdin`: which of the inputs is its standard input.
    - `client`, `ready`, `prepare`: as the options of `mtbench exec`.
    - `metric`: as `--metric`; "" for its wall time. `lower`: less of it is better.
    - `check`: how equal work is proven: "stdout"; a shell command after each run, whose output must
      be the same; or "" for its exit code alone.
    - `unprivileged`: it refuses to run as root.
    """

    name: str
    stands_for: str
    command: str
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    inputs: dict[str, Input] = {}
    environment: dict[str, str] = {}
    stdin: str = ""
    client: str = ""
    ready: str = ""
    prepare: str = ""
    metric: str = ""
    lower: bool = False
    check: str = STDOUT
    unprivileged: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_+.-]{1,64}", self.name):
            raise ValueError(
                f"name '{self.name}' is not 1 - 64 letters, digits, '_', '+', '.', '-'"
            )
        if not self.stands_for.isprintable():
            raise ValueError("stands_for is not one line of text")
        for key in ("command", "client"):
            try:
                words = shlex.split(getattr(self, key))
            except ValueError as error:
                raise ValueError(f"{key} cannot be split into words: {error}") from None
            if key == "command" and not words:
                raise ValueError("command is empty")
        if self.stdin and self.stdin not in self.inputs:
            raise ValueError(f"stdin '{self.stdin}' is none of its inputs")
        for name in self.inputs:
            if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", name):
                raise ValueError(f"input '{name}' is no plain file name")

    def program(self) -> Program:
        """What is run. Raises UsageError for a metric that is no regular expression."""
        return Program(
            name=self.name,
            command=tuple(shlex.split(self.command)),
            client=tuple(shlex.split(self.client)),
            prepare=self.prepare,
            ready=self.ready,
            numbers=(number(self.metric, lower=self.lower),) if self.metric else (),
            inputs=self.inputs,
            stdin=self.stdin,
            environment=self.environment,
            check=self.check,
            apart=True,
            template=True,
        )

    def obstacle(self) -> str:
        """Why it cannot run here, and what brings what is missing; "" if it can."""
        if self.unprivileged and os.geteuid() == 0:
            return "it refuses to run as root"
        if not (missing := ", ".join(self._missing())):
            return ""
        apt = f"; apt install {' '.join(self.packages)}" if self.packages else ""
        return f"not installed: {missing}{apt}"

    def _missing(self) -> tuple[str, ...]:
        wanted = (shlex.split(self.command)[0], *shlex.split(self.client)[:1], *self.needs)
        return tuple(name for name in dict.fromkeys(wanted) if shutil.which(name) is None)

    def to_toml(self) -> str:
        """The TOML file that `load` reads back to an equal entry."""
        return "\n".join(_lines(msgspec.to_builtins(self)))


def load(path: Path) -> Entry:
    """The program of a TOML file; paths in it start at its folder.

    Raises UsageError, one line that names the file and the key.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Entry)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {_fault(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is no TOML ({' '.join(str(error).split())})") from None
    return msgspec.structs.replace(
        found,
        inputs={
            name: msgspec.structs.replace(each, file=str((path.parent / each.file).resolve()))
            if each.file
            else each
            for name, each in found.inputs.items()
        },
    )


def _fault(error: msgspec.ValidationError) -> str:
    """What is wrong; of a key that there is not, with those that there are."""
    text = str(error).removeprefix("Object ")
    unknown = re.match(r"contains unknown field (`.*?`)(.*inputs)?", text)
    if not unknown:
        return text
    kind, of = (Input, " of an input") if unknown[2] else (Entry, "")
    return f"unknown key {unknown[1]}{of}; accepted: {', '.join(kind.__struct_fields__)}"


def _lines(given: Mapping[str, Any]) -> Iterator[str]:
    tables = [key for key, value in given.items() if isinstance(value, dict)]
    for key, value in given.items():
        if key not in tables:
            yield f"{key} = {_value(value)}"
    for key in tables:
        yield f"\n[{key}]"
        for name, value in given[key].items():
            yield f'"{name}" = {_value(value)}'
    yield ""


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return msgspec.json.encode(value).decode()
