"""What is imported is declared in pyproject.toml, and the other way round."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from tools.repository import ROOT

tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INSTALLED = ("allocator", "workloads", "plots", "mtbench")
OURS = {*INSTALLED, "study", "tools", "tests", "tomllib", *sys.stdlib_module_names}


def declared(requirements: list[str]) -> set[str]:
    """Distributions by the name under which they are imported."""
    names = (re.split(r"[^\w-]", text, maxsplit=1)[0] for text in requirements)
    return {name.replace("-", "_").lower() for name in names}


def modules(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, by statement or by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "importorskip"):
                texts = (part for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant))
                yield from (text.value for text in texts if isinstance(text.value, str))


def imported(*rooms: str) -> set[str]:
    """Packages of others that the rooms import."""
    found = set()
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        for module in modules(ast.parse(path.read_text("utf-8"))):
            package = module.partition(".")[0]
            beside = Path(path.parent, f"{package}.py").exists()
            if package not in OURS and not beside:
                found.add(package)
    return found


def test_the_installed_rooms_need_exactly_what_is_declared() -> None:
    extras = declared(PROJECT["optional-dependencies"]["cluster"])
    assert imported(*INSTALLED) - extras == declared(PROJECT["dependencies"])


def test_tests_and_tools_import_nothing_that_no_extra_names() -> None:
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    known = declared(PROJECT["dependencies"]) | declared(extras)
    assert imported("study", "tools", "tests") <= known
