"""A figure as lean SVG: for a file of its own, or for a page that styles and scripts it.

matplotlib writes every style beside every mark and a group around every thing. Sharing styles as
classes and dropping the empty groups makes the same picture in about a quarter of the bytes, which
is what lets sixty figures share one page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any
from xml.etree import ElementTree as Tree

import matplotlib

from plots import style
from plots.paper.sheet import FAMILY, Drawing, Tips

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
# The date and the tool's version would make equal figures differ.
METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "mtbench"}
NUMBER = re.compile(r"(?<!opacity: )-?\d+\.\d{2,}")
COLOUR = re.compile(r"#[0-9a-f]{6}")
REFERENCE = re.compile(r"#([\w.-]+)")
BY_ALLOCATOR = ("name", "leader", "band", "bars", "dots", "rings")


class Stylebook:
    """Styles shared by all figures of a page, as CSS classes s0, s1.."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, declarations: str) -> str:
        """Return the class of these declarations, new or known."""
        return self._names.setdefault(declarations, f"s{len(self._names)}")

    def css(self) -> str:
        """Return the rules of every class asked for so far."""
        return "".join(f".{name}{{{rule}}}" for rule, name in self._names.items())


@dataclass(frozen=True)
class Rendered:
    """A figure as matplotlib wrote it, with its words; width and height in points."""

    text: str
    description: str
    tips: Mapping[str, Tips]
    width: float
    height: float


def rendered(figure: Drawing) -> Rendered:
    """Render a figure once; `standalone` and `inline` can share it."""
    buffer = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", metadata=METADATA, transparent=True)
    width, height = (float(side) * 72 for side in figure.get_size_inches())
    return Rendered(buffer.getvalue(), figure.description, figure.tips, width, height)


def standalone(figure: Rendered) -> str:
    """Return the figure as an SVG document; its description is the title for screen readers."""
    book = Stylebook()
    root = _lean(figure, "f", book, _plain)
    width, height = figure.width, figure.height
    root.attrib = {
        "xmlns": SVG[1:-1],
        "width": f"{width:.1f}pt",
        "height": f"{height:.1f}pt",
        "viewBox": root.get("viewBox", f"0 0 {width:.1f} {height:.1f}"),
        "role": "img",
    }
    title, rules = Tree.Element("title"), Tree.Element("style")
    title.text, rules.text = figure.description, book.css()
    root[:] = [title, rules, *root]
    return _written(root) + "\n"


def inline(figure: Rendered, name: str, book: Stylebook) -> str:
    """Return the figure as an svg element to be put into HTML whose style sheet has book.css().

    Colours become variables that a dark page redefines (see `variables`); groups of marks carry
    data-a (the allocator), data-t (one line a mark, joined by "|") and what goes before and after
    each line (data-b, data-e); ids start with `name`.
    """
    root = _lean(figure, name, book, _themed)
    root.attrib = {
        "viewBox": root.get("viewBox", ""),
        "role": "img",
        "aria-label": figure.description,
        "style": f"--w:{figure.width:.0f}",
    }
    return _written(root)


def variables(*, dark: bool) -> str:
    """Return the CSS declarations of every colour, for a light or a dark page."""
    pairs = ((c, style.darker_page(c) if dark else c) for c in style.palette())
    return "".join(f"--c{name[1:]}:{colour};" for name, colour in pairs)


@cache
def _themed(declarations: str) -> str:
    known = style.palette()

    def variable(match: re.Match[str]) -> str:
        return f"var(--c{match.group()[1:]})" if match.group() in known else match.group()

    return COLOUR.sub(variable, declarations).replace(f"'{FAMILY}'", "var(--figure-font)")


def _plain(declarations: str) -> str:
    return declarations.replace(f"'{FAMILY}'", f"'{FAMILY}',Verdana,sans-serif")


def _lean(figure: Rendered, name: str, book: Stylebook, theme: Any) -> Tree.Element:
    root = Tree.fromstring(figure.text)
    used = {ref for e in root.iter() for value in e.attrib.values() for ref in _references(value)}
    ids = {old: f"{name}-{number:x}" for number, old in enumerate(sorted(used))}
    _clean(root, figure, ids, book, theme)
    return root


def _references(value: str) -> list[str]:
    return REFERENCE.findall(value) if value.startswith(("#", "url(#")) else []


def _clean(
    element: Tree.Element, figure: Rendered, ids: dict[str, str], book: Stylebook, theme: Any
) -> None:
    """Make the element and all below it lean, in place."""
    kept: list[Tree.Element] = []
    for child in element:
        tag = child.tag.removeprefix(SVG)
        if tag in ("metadata", "style") or _invisible(child):
            continue
        child.tag, child.tail = tag, None
        child.text = child.text if tag == "text" else None
        _attributes(child, figure, ids, book, theme)
        _clean(child, figure, ids, book, theme)
        if tag in ("g", "defs") and not len(child):
            continue
        if tag == "g" and not child.attrib:
            kept += list(child)
        else:
            kept.append(child)
    element[:] = kept
    element.tag = element.tag.removeprefix(SVG)
    _hoist(element)


def _attributes(
    element: Tree.Element, figure: Rendered, ids: dict[str, str], book: Stylebook, theme: Any
) -> None:
    old = dict(element.attrib)
    element.attrib.clear()
    for key, value in old.items():
        # A tenth of a point is finer than any screen shows. Text is left alone: it is data.
        value = NUMBER.sub(lambda match: _rounded(match.group()), value)
        if key == "id":
            element.attrib.update(_identity(value, figure, ids))
        elif key == "style":
            rules = theme(value.replace("; ", ";").replace(": ", ":").strip(" ;"))
            element.set("class", book.name(rules))
        elif key == "transform" and value.startswith("rotate(-0 "):
            continue
        else:
            plain = "href" if key == LINK else key
            for ref in _references(value):
                value = value.replace(f"#{ref}", f"#{ids[ref]}")
            element.set(plain, value.strip())


def _identity(value: str, figure: Rendered, ids: dict[str, str]) -> dict[str, str]:
    if value in figure.tips:
        tips = figure.tips[value]
        lines = "|".join(line.replace("|", "/") for line in tips.lines)
        around = {"data-b": tips.before, "data-e": tips.after}
        return {"data-a": tips.label, "data-t": lines, **{k: v for k, v in around.items() if v}}
    kind, colon, label = value.partition(":")
    if colon and kind in BY_ALLOCATOR:
        return {"data-a": label}
    return {"id": ids[value]} if value in ids else {}


def _hoist(element: Tree.Element) -> None:
    """Move a class and a reference that all marks of a group share to the group: "use" elements
    inherit the style."""
    marks = list(element)
    if element.tag != "g" or element.get("class") or len(marks) < 2:
        return
    shared = {mark.get("class") for mark in marks}
    if len(shared) == 1 and all(mark.tag == "use" for mark in marks):
        (only,) = shared
        if only:
            element.set("class", only)
            for mark in marks:
                del mark.attrib["class"]


def _invisible(element: Tree.Element) -> bool:
    return element.tag == f"{SVG}path" and element.get("style", "").strip(" ;") == "fill: none"


def _rounded(number: str) -> str:
    text = f"{float(number):.1f}"
    return text[:-2] if text.endswith(".0") else text


def _written(element: Tree.Element) -> str:
    """Serialise without namespaces: HTML needs none, a document says it at its root."""
    parts = [f"<{element.tag}"]
    parts += [f' {key}="{escape(value, quote=True)}"' for key, value in element.attrib.items()]
    if not len(element) and not element.text:
        return "".join([*parts, "/>"])
    parts.append(">")
    parts.append(escape(element.text or "", quote=False))
    parts += [_written(child) for child in element]
    parts.append(f"</{element.tag}>")
    return "".join(parts)
