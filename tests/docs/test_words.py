"""One word, one thing, as docs/glossary.md has it: what no text may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_links import tree
from tools.repository import DOCS, ROOT

THINGS = "cell|(?:CPU )?second|side|million operations|block|row|thread|kernel"

FORBIDDEN = {
    "per, not a": rf"\b(?:operations|units|requests|trials|rows?|[Oo]ne row) an? (?:{THINGS})\b",
    "a block is memory, trials come in rounds": r"\bblocks? of trials\b|\btrials? of a block\b"
    r"|\bpaired (?:by )?blocks?\b|\bone pair (?:a|per) block\b",
    "a seed is random": r"\b[Tt]he seed(?:'s|\s+(?:was|had|hoped|measured|gained|did))\b",
}
"""What a text is told, and the words that it may not have."""


def texts() -> list[Path]:
    """Documents, sources and programs, but for the lines of this one."""
    found = tree(".md", ".in", ".py", ".c", ".h", ".html")
    return [file for file in found if file != Path(__file__)]


@pytest.mark.parametrize("told", FORBIDDEN)
def test_no_text_uses_a_word_for_two_things(told: str) -> None:
    odd = re.compile(FORBIDDEN[told])
    lines = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in texts()
        for line in file.read_text(encoding="utf-8").splitlines()
        if odd.search(line)
    ]
    assert lines == []


def test_no_word_is_explained_twice() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = [word.lower() for word in re.findall(r"\*\*([^*]+)\*\*", text)]
    assert len(words) > 60
    assert {word for word in words if words.count(word) > 1} == set()
