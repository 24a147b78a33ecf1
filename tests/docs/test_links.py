"""Whatever a document points to is there: files, headings, and files that are named in the text."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.repository import ROOT

MADE = {"build", "runs", "__pycache__"}
"""Folders that no commit holds, beside those whose name begins with a dot."""


def tree(*endings: str) -> Iterator[Path]:
    """Files of the repository with one of these endings, dotted folders left out."""
    for folder, below, files in os.walk(ROOT):
        below[:] = sorted(name for name in below if name not in MADE and name[0] != ".")
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(endings))


DOCUMENTS = list(tree(".md"))
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


def prose(file: Path) -> str:
    """A document without its fenced blocks, in which `#` is no heading and `](` no link."""
    return re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.S | re.M)


def links(text: str) -> list[str]:
    """Targets inside the repository: of links, of pictures, of definitions, of HTML."""
    text = re.sub(r"`[^`\n]*`", "", text)
    found = re.findall(r"\]\(<?([^)>\s]+)>?(?: \"[^\"]*\")?\)", text)
    found += re.findall(r"^\[[^\]]+\]: (\S+)", text, re.M)
    found += re.findall(r"(?:href|src)=\"([^\"]+)\"", text)
    return [target for target in found if not re.match(r"\w+:", target)]


def anchors(file: Path) -> set[str]:
    """The names under which a link reaches the headings of a document."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ +(.*?) *$", prose(file), re.M):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    for target in links(prose(document)):
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"no file: {target}"
        if anchor:
            assert anchor in anchors(file), f"no heading: {target}"


def test_links_and_headings_are_read_as_they_are_shown(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Two words, `code`\n## Again\n## Again\n```\n# no heading [no](link)\n```\n"
        '[a](one.md#x) ![b](two.svg) `[c](three)` [d](https://e.org/f)\n<img src="four.png">\n'
    )
    assert anchors(page) == {"two-words-code", "again", "again-1"}
    assert links(prose(page)) == ["one.md#x", "two.svg", "four.png"]


PLACES = r"(?:\.ci|allocator|docs|mtbench|plots|study|tests|tools|workloads)/"
"""How the name of a file of this repository begins."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = re.findall(rf"`({PLACES}[\w./-]+)`", prose(document))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_document_that_a_source_names_is_there() -> None:
    sources = [*tree(".py", ".c", ".h", ".in", ".txt", ".toml"), ROOT / "Makefile"]
    missing = {
        f"{source.relative_to(ROOT)}: {name}"
        for source in sources
        for name in re.findall(r"\bdocs/[\w./-]+\.md\b", source.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    }
    assert missing == set()
