"""Promises of report.html that need no browser: size, words, order, safety."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

import plots
from plots.data import (
    PROGRAM_MEASURES,
    Allocator,
    Estimate,
    Failure,
    Finding,
    Program,
    ProgramCell,
    Run,
)
from plots.drawings import catalogue
from plots.paper import svg
from plots.paper.sheet import WIDTH
from tools import specimen

VOID = {"meta", "link", "input", "br", "img"}


class Outline(HTMLParser):
    """Collects ids, headings and whatever is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def failing() -> str:
    return plots.html(specimen.failing())


def test_a_default_sweep_s_report_stays_under_three_megabytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = specimen.default_sweep()
    drawn: dict[str, svg.Rendered] = {}

    def stand_in(run: Run, entry: catalogue.Entry) -> svg.Rendered:
        """Draw each kind of figure for one workload only: all five are as large, and cost 9 s."""
        kind = entry.name.removesuffix(entry.workload)
        if kind not in drawn:
            drawn[kind] = svg.rendered(entry.draw(WIDTH))
        return drawn[kind]

    monkeypatch.setattr(catalogue, "rendered", stand_in)
    text = plots.html(run)
    assert text.count("<svg ") > 60
    assert len(text.encode()) < 3_000_000


def test_the_page_is_well_formed_with_unique_ids_and_live_links(failing: str) -> None:
    found = outline(failing)
    assert not found.wrong and not found.open
    assert len(found.ids) == len(set(found.ids))
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))


def test_every_reference_inside_a_figure_has_its_target(failing: str) -> None:
    wanted = set(re.findall(r'href="#(f\d+-\w+)"|url\(#(f\d+-\w+)\)', failing))
    targets = {one or other for one, other in wanted}
    assert targets and targets <= set(outline(failing).ids)


def test_headings_never_skip_a_level(failing: str) -> None:
    levels = outline(failing).headings
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_nothing_in_the_page_points_to_a_network(failing: str) -> None:
    outside = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(?:https?:)?//[^"\')]*', failing)
    assert outside == []
    assert "default-src 'none'" in failing


def test_findings_come_before_figures_and_tables(failing: str) -> None:
    first = failing.index("hakmem is faster than system")
    assert first < failing.index("<svg") < failing.index("<table")
    assert "2.31 x [2.24, 2.39]" in failing


def test_every_figure_has_its_finding_as_alternative_text(failing: str) -> None:
    texts = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', failing)
    assert len(texts) == failing.count("<svg ")
    assert any("highest hakmem-fixed with" in text for text in texts)


def test_failed_cells_are_named_failed_and_hold_no_number(failing: str) -> None:
    row = re.search(r'<tr data-a="tbb" data-w="mid_gap" data-n="64">(.*?)</tr>', failing)
    assert row is not None
    assert ">failed <small>5 of 5<" in row.group(1)
    assert set(re.findall(r'data-v="([^"]*)"', row.group(1))) == {"", "0"}
    assert "SIGSEGV" in failing and "free(): invalid pointer" in failing


def test_the_command_to_reproduce_is_there(failing: str) -> None:
    assert specimen.failing().command in failing


def test_hostile_text_is_shown_and_not_run() -> None:
    label = 'x"><script>alert(1)</script>'
    run = specimen.one_cell()
    run = replace(
        run,
        title="<b>bold</b>",
        allocators=(Allocator(label, "peer"),),
        cells=tuple(replace(cell, allocator=label) for cell in run.cells),
        findings=(Finding("<img src=x onerror=alert(1)>"),),
        failures=(Failure(label, "mid_gap", 1, 0, "crash", "</td><script>", "", 1, "\x1b[31m<x"),),
        ladder=(),
    )
    text = plots.html(run)
    assert "<script>alert" not in text and "<img" not in text and "<b>bold" not in text
    assert text.count("<script>") == 1
    assert not outline(text).wrong


@pytest.mark.parametrize("condition", specimen.CONDITIONS)
def test_a_page_can_be_made_in_every_condition(
    condition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The figures have their own test; here only the words and tables around them matter.
    monkeypatch.setattr(catalogue, "entries", lambda run: [])
    text = plots.html(specimen.CONDITIONS[condition]())
    assert not outline(text).wrong and "nan" not in re.sub(r"<[^>]*>", " ", text).split()


def test_runs_side_by_side_show_each_run_and_what_differs() -> None:
    text = plots.html(specimen.two_hosts())
    assert not outline(text).wrong
    assert "oak" in text and "elm" in text
    assert '<tr class="differs"><th scope="row">usable cores</th>' in text


def test_runs_side_by_side_show_contention_latency_and_memory_of_each() -> None:
    text = plots.html([specimen.one_cell(), replace(specimen.one_cell(), host="elm")])
    found = outline(text)
    assert len(found.ids) == len(set(found.ids))
    for section in ("contention", "latency", "memory"):
        body = text.partition(f'<h2 id="{section}">')[2].partition("<h2")[0]
        for host in (specimen.one_cell().host, "elm"):
            assert re.search(rf'aria-label="[^"]*, {host}: arrow', body), (section, host)


def test_programs_side_by_side_have_a_table_each() -> None:
    label = specimen.one_cell().allocators[0].label
    cell = ProgramCell(label, 3, 0, {"wall_s": Estimate(1.25, 1.0, 1.5)})
    wall = PROGRAM_MEASURES[0]
    one = Program("sort", "sort", 1, "sort words", wall, cells=(cell,))
    made = replace(specimen.one_cell(), cells=(), programs=(one,))
    two = replace(one, command="sort numbers")
    text = plots.html([made, replace(made, host="elm", programs=(two,))])
    assert not outline(text).wrong
    assert text.count("What the program used under each allocator") == 2
    assert "sort words" in text and "sort numbers" in text
    assert "1.25 s" in text
    assert 'id="cells-heading"' not in text


def test_many_findings_of_programs_are_folded_and_counted() -> None:
    """One for each program and allocator would be all that a reader sees."""
    told = tuple(Finding(f"finding {index} of many", "", "neutral") for index in range(200))
    made = replace(specimen.several_programs(), findings=told)
    text = plots.html(made)
    assert text.index("finding 7 of many") < text.index("192 more findings")
    assert text.index("finding 8 of many") > text.index("192 more findings")
    comment = plots.markdown(made)
    assert "finding 11 of many" in comment and "finding 12 of many" not in comment
    assert "\n- and 188 more in the report\n" in comment


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="no run"):
        plots.html([])
