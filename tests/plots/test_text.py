"""Promises about numbers, Markdown, sparklines and files."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from matplotlib.image import imread

import plots
from plots import numbers
from plots.data import Estimate, Finding
from plots.paper import svg
from plots.paper.sheet import Drawing
from tools import specimen


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (41_234_567.0, "41.2 M"),
        (999_960.0, "1 M"),
        (999.4, "999"),
        (0.00031, "0.00031"),
        (5.21e9, "5.21 G"),
        (-1500.0, "-1.5 k"),
        (nan, "–"),
    ],
)
def test_numbers_have_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert numbers.compact(value) == text


def test_a_value_without_bounds_shows_none() -> None:
    assert numbers.interval(Estimate(2e6)) == "2 M"
    assert numbers.interval(Estimate(2e6, 1e6, 3e6)) == "2 M [1 M, 3 M]"


def test_bytes_are_binary() -> None:
    assert numbers.bytes_text(1536) == "1.5 KiB"
    assert numbers.bytes_text(3 * 2**30) == "3 GiB"


def test_a_sparkline_has_one_character_a_value_and_gaps_for_missing() -> None:
    assert plots.sparkline([0, 50, nan, 100]) == "▁▅ █"
    assert plots.sparkline([]) == ""
    assert plots.sparkline([nan, nan]) == "  "
    assert plots.sparkline([0, 0]) == "▁▁"


def test_the_public_functions_still_answer_after_the_first_call() -> None:
    run = specimen.one_cell()
    for _ in range(2):
        assert plots.markdown(run)
        assert plots.sparkline([1.0])
        assert plots.figures(run)


def test_markdown_shows_findings_a_table_and_failures() -> None:
    text = plots.markdown(specimen.failing())
    assert "| jemalloc | 33.1 M | 62.9 M | failed |" in text
    assert "2.31 x" in text
    assert "60 failed trials" in text
    assert "mtbench sweep -a null" in text


def test_markdown_cannot_be_broken_by_names() -> None:
    run = replace(specimen.one_cell(), findings=(Finding("a | b <script> `x`"),))
    text = plots.markdown(run)
    assert "<script>" not in text and "a \\| b" in text


def test_several_runs_follow_each_other_in_markdown() -> None:
    text = plots.markdown(specimen.two_hosts())
    assert text.index("oak") < text.index("elm")


def test_export_writes_each_format_at_the_width_asked_for(tmp_path: Path) -> None:
    run = specimen.one_cell()
    found = plots.export(run, tmp_path, ("svg", "png", "pdf"), width_mm=127, dpi=100)
    assert {path.suffix for path in found} == {".svg", ".png", ".pdf"}
    assert all(path.stat().st_size > 500 for path in found)
    assert imread(next(p for p in found if p.suffix == ".png")).shape[1] == 500
    text = next(p for p in found if p.suffix == ".svg").read_text()
    assert 'width="360.0pt"' in text and "http" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    "wrong", [{"formats": ("gif",)}, {"width_mm": 20.0}, {"width_mm": nan}, {"dpi": 0}]
)
def test_export_refuses_what_it_cannot_do(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="accepted"):
        plots.export(specimen.one_cell(), tmp_path, **wrong)  # type: ignore[arg-type]


def test_a_figure_in_a_file_and_in_the_page_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = specimen.one_cell()
    rendered: list[object] = []
    once = svg.rendered

    def noted(figure: Drawing) -> svg.Rendered:
        rendered.append(figure)
        return once(figure)

    monkeypatch.setattr(svg, "rendered", noted)
    files = plots.export(run, tmp_path)
    plots.html(run)
    assert len(rendered) == len(files)
