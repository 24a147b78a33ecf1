"""The pages of docs/reference: every public name, how it is called and what its docstring says."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

WIDTH = 88
"""The longest signature that stands on one line."""

STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def names(module: str, only: Iterable[str] = ()) -> str:
    """A section per public name of a module, in its own order: how it is called, what it says.

    Public is what `__all__` has, or else what the module itself defines without an underscore.
    only: these alone. Raises LookupError for a name without a docstring.
    """
    found = import_module(module)
    public = list(only) or getattr(found, "__all__", None) or list(_defined(found))
    return "\n\n".join(_section(found, name) for name in public)


def _section(module: Any, name: str) -> str:
    thing = getattr(module, name)
    parts = [f"### `{name}`"]
    if inspect.isclass(thing):
        parts += [_code(_class(thing)), _prose(name, inspect.getdoc(thing))]
        for key, member in _members(thing):
            parts += [f"#### `{name}.{key}`", _code(_member(thing, key, member))]
            parts.append(_prose(f"{name}.{key}", inspect.getdoc(member)))
    elif callable(thing):
        parts += [_code(_call(name, thing)), _prose(name, inspect.getdoc(thing))]
    else:
        declared, told = _constants(Path(module.__file__).parent)[name]
        parts += [_code(declared), _prose(name, told)]
    return "\n\n".join(parts)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _prose(name: str, text: str | None) -> str:
    if not text:
        raise LookupError(f"{name} has no docstring")
    return inspect.cleandoc(text).replace("``", "`")


def _quoted(text: str) -> str:
    """A value with its texts between double quotes, as sources have them."""
    return text if '"' in text else text.replace("'", '"')


def _call(name: str, function: Callable[..., Any], *, bound: bool = False) -> str:
    """The call as it is typed, over several lines where it is long."""
    signature = inspect.signature(function)
    shown, star = [], False
    for parameter in list(signature.parameters.values())[1 if bound else 0 :]:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        told = STARS.get(parameter.kind, "") + parameter.name
        if parameter.annotation is not parameter.empty:
            told += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            told += f" = {_quoted(repr(parameter.default))}"
        shown.append(told)
    result = signature.return_annotation
    end = f") -> {result}" if result is not signature.empty else ")"
    line = f"{name}({', '.join(shown)}{end}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {entry},\n" for entry in shown) + end


def _class(kind: type) -> str:
    """The head of a class, and the fields that it declares."""
    node = _tree(inspect.getsourcefile(kind) or "")[kind.__name__]
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {kind.__name__}({bases}):" if bases else f"class {kind.__name__}:"]
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_"):
            made = _quoted(ast.unparse(item.value)) if item.value else None
            end = "" if made is None else f" = {'...' if made.startswith('field(') else made}"
            kind_of = _quoted(ast.unparse(item.annotation))
            lines.append(f"    {ast.unparse(item.target)}: {kind_of}{end}")
        elif isinstance(item, ast.Assign):
            lines.append(f"    {_quoted(ast.unparse(item))}")
    return "\n".join(lines) if lines[1:] else lines[0].removesuffix(":")


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """The methods and properties that a class itself defines, in its order."""
    for key, member in vars(kind).items():
        plain = getattr(member, "__func__", member)
        shown = inspect.isfunction(plain) or isinstance(member, property)
        if shown and not key.startswith("_"):
            yield key, member


def _member(kind: type, key: str, member: Any) -> str:
    name = f"{kind.__name__}.{key}"
    if isinstance(member, property):
        return f"{name}: {inspect.signature(member.fget or len).return_annotation}"
    unbound = isinstance(member, staticmethod)
    return _call(name, getattr(member, "__func__", member), bound=not unbound)


def _defined(module: Any) -> Iterator[str]:
    """The public classes, functions and documented constants of a module, in its order."""
    told = _constants(Path(module.__file__).parent)
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            name = node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = ast.unparse(target)
            if name not in told:
                continue
        else:
            continue
        if not name.startswith("_"):
            yield name


@cache
def _tree(file: str) -> dict[str, ast.ClassDef]:
    nodes = ast.parse(Path(file).read_text(encoding="utf-8")).body
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


@cache
def _constants(folder: Path) -> dict[str, tuple[str, str]]:
    """Constant -> its declaration without the value, and the text below it, in a package."""
    found = {}
    for file in sorted(folder.glob("*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for node, after in pairwise(body):
            if not isinstance(node, (ast.Assign, ast.AnnAssign)):
                continue
            if not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant):
                continue
            if isinstance(node, ast.AnnAssign):
                name = ast.unparse(node.target)
                declared = f"{name}: {ast.unparse(node.annotation)}"
            else:
                declared = name = ast.unparse(node.targets[0])
            found[name] = declared, str(after.value.value)
    return found
