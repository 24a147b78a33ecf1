"""Workloads as TOML files: read with every mistake named, printed with every default shown."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from workloads.errors import SpecError
from workloads.spec import Workload

tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def load(path: str | Path) -> Workload:
    """Reads the workload of a TOML file; paths in it start at its folder.

    Raises SpecError, one line that starts with the path, if it is not readable or no workload.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SpecError(f"{path}: is no TOML ({error})") from None
    return loads(text, str(path), path.parent)


def loads(text: str, source: str = "workload", folder: Path | None = None) -> Workload:
    """Reads the workload of a TOML document; paths in it start at `folder`, or here.

    Raises SpecError, one line that starts with `source`, if it is no workload.
    """
    try:
        return Workload.from_mapping(tomllib.loads(text), folder)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    except RecursionError:
        raise SpecError(f"{source}: is no workload (its tables are nested too deep)") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise SpecError(f"{source}: is no TOML ({' '.join(str(error).split())})") from None


def print_toml(workload: Workload) -> str:
    """A TOML document that `load` reads back to an equal workload."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in workload.as_mapping().items():
        if isinstance(value, dict):
            tables += ["", f"[{key}]", *(f"{_key(name)} = {_value(value[name])}" for name in value)]
        elif key == "phases":
            for phase in value:
                tables += ["", "[[phases]]", *(f"{name} = {_value(phase[name])}" for name in phase)]
        else:
            lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines + tables) + "\n"


def _key(name: str) -> str:
    return f'"{name}"' if name.isdecimal() else name


def _value(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return repr(value)
