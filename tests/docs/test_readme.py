"""The README states no result of its own: what was measured stands where a generator wrote it."""

from __future__ import annotations

import json
import re

from mtbench.programs.named import CATALOGUE
from tools.repository import DATA, DOCS, ROOT

README = ROOT / "README.md"

RESULT = re.compile(r"\d x\b|\d[kM] ?op|\[\d[\d.]*, \d[\d.]*\]")
"""A ratio, a rate, an interval."""


def typed(text: str) -> str:
    """The text without what generators write between their marks."""
    return re.sub(r"<!-- table: \w+ -->\n.*?<!-- end -->", "", text, flags=re.DOTALL)


def test_every_measured_figure_of_the_readme_is_written_by_a_generator() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == 2
    assert RESULT.findall(typed(text)) == []


def test_the_readme_counts_the_instructions_that_the_kept_listing_has() -> None:
    kept = json.loads((DATA / "fast-paths.json").read_text(encoding="utf-8"))
    said = f"{len(kept['malloc'])} and {len(kept['free'])} instructions"
    assert said in README.read_text(encoding="utf-8")


def test_the_count_of_named_programs_is_the_catalogues() -> None:
    files = (README, ROOT / "CHANGELOG.md", DOCS / "guide" / "program.md")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    told = re.findall(r"(\d+) (?:named programs|programs of distr|that a distribution)", text)
    assert told == [str(len(CATALOGUE))] * 4
