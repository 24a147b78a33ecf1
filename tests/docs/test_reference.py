"""The reference of the Python packages: every public name is in it, and told in one voice."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tools.documents.reference import names
from tools.repository import DOCS

PUBLIC = {"mtbench": "mtbench", "workloads": "workloads", "plots": "plots"} | {
    "plots.data": "plots",
    "allocator": "allocator",
}
"""Module -> its page."""


def functions(module: str) -> Iterator[tuple[str, Any]]:
    """Public functions of a module, and the methods of its classes."""
    found = import_module(module)
    for name in getattr(found, "__all__", None) or vars(found):
        thing = getattr(found, name)
        if name.startswith("_") or getattr(thing, "__module__", "").split(".")[0] not in PUBLIC:
            continue
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member) and not key.startswith("_"):
                    yield f"{module}.{name}.{key}", member
        elif callable(thing):
            yield f"{module}.{name}", thing


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    headings = re.findall(
        r"^### `(\w+)`$", (DOCS / "reference" / f"{PUBLIC[module]}.md").read_text(), re.M
    )
    found = import_module(module)
    public = getattr(found, "__all__", None) or re.findall(r"^### `(\w+)`$", names(module), re.M)
    assert set(public) <= set(headings)
    assert len(public) >= 3


@pytest.mark.parametrize("module", PUBLIC)
def test_a_function_is_told_by_what_it_does_and_when_it_raises(module: str) -> None:
    odd = []
    found = list(functions(module))
    assert found
    for name, function in found:
        text = inspect.getdoc(function) or ""
        first = text.partition("\n\n")[0]
        does = re.match(r"[A-Z][a-z]+s\b", first) and first.endswith(".")
        said = all(word == "if" for word in re.findall(r"Raises [\w.]+(?:,[^,]+,)? (\w+)", text))
        odd += [] if does and said else [f"{name}: {text}"]
    assert odd == []


def test_a_call_is_shown_as_it_is_typed() -> None:
    text = names("mtbench.api", ("sweep", "load"))
    assert "    trials: int = 8,\n" in text and "\n    *,\n" in text
    assert "load(path: str | Path) -> Sweep\n" in text


def test_a_name_without_a_docstring_is_refused() -> None:
    this = "test_a_name_without_a_docstring_is_refused"
    with pytest.raises(LookupError, match=this):
        names("tests.docs.test_reference", (this,))
