"""Promises every figure keeps in every condition, and that failures stay gaps."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

import plots
from plots.data import Estimate, Run
from plots.drawings import catalogue, hosts
from plots.drawings.heatmap import seen, shade
from plots.paper import curves, svg
from plots.paper.sheet import Drawing, gaps
from tools import specimen


def drawn(run: Run, name: str) -> Drawing:
    return next(e for e in catalogue.entries(run) if e.name == name).draw(10.0)


def standalone(run: Run, name: str) -> str:
    return svg.standalone(svg.rendered(drawn(run, name)))


@pytest.mark.parametrize("condition", specimen.CONDITIONS)
def test_every_figure_draws_in_every_condition(condition: str) -> None:
    run = specimen.CONDITIONS[condition]()
    for entry in catalogue.entries(run):
        figure = entry.draw(10.0)
        figure.set_facecolor("white")
        figure.set_dpi(50)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)
        buffer.seek(0)
        image = imread(buffer)
        dark = image[..., :3].mean(axis=2) < 0.6
        # Something is written in the title strip and drawn below it.
        assert dark[: dark.shape[0] // 5].any() and dark[dark.shape[0] // 4 :].any(), entry.name
        assert figure.description.endswith((".", "!")), entry.name


@pytest.mark.parametrize("width", [3.94, 6.3, 15.0])
def test_every_figure_draws_at_paper_widths(width: float) -> None:
    for entry in catalogue.entries(specimen.run()):
        figure = entry.draw(width)
        assert figure.get_size_inches()[0] == pytest.approx(width), entry.name
        for axes in figure.axes:
            box = axes.get_position()
            assert box.width > 0.1 and 0 <= box.x0 < box.x1 <= 1, entry.name


def test_a_failed_cell_is_a_gap_and_never_a_number() -> None:
    run = specimen.failing()
    lines = {s.label: s for s in curves.series(run, "mid_gap", lambda c: c.throughput)}
    assert "tbb" not in lines
    assert np.isnan(lines["jemalloc"].value[2])
    assert np.isnan(lines["mimalloc"].value[3:]).all()
    figure = drawn(run, "throughput-mid_gap")
    tips = [tips for tips in figure.tips.values() if tips.label == "jemalloc"]
    assert not any(line.startswith("4 threads") for tip in tips for line in tip.lines)


def test_the_caption_names_the_failed_cells_and_the_source() -> None:
    run = specimen.failing()
    assert "jemalloc at 4" in gaps(run, "mid_gap")
    assert "tbb everywhere" in gaps(run, "mid_gap")
    text = " ".join(t.get_text() for t in drawn(run, "throughput-mid_gap").texts)
    assert run.source in text and "Trials per cell: 5" in text


@pytest.mark.parametrize("name", ["null", "hakmem"])
def test_the_caption_names_the_null_line_only_where_it_is_drawn(name: str) -> None:
    run = specimen.run((name, "system"))
    for figure in (drawn(run, "throughput-mid_gap"), hosts.by_host([run], "mid_gap")):
        text = " ".join(t.get_text() for t in figure.texts)
        assert ("dashed grey" in text) == (name == "null")


def test_zero_is_drawn_and_missing_is_not() -> None:
    run = specimen.missing_fields()
    assert curves.series(run, "mid_gap", curves.metric("futex_per_mop")) == []
    text = " ".join(t.get_text() for a in drawn(run, "kernel-mid_gap").axes for t in a.texts)
    assert "not measured: not permitted" in " ".join(text.split())


def test_figures_are_only_those_with_data() -> None:
    assert set(plots.figures(specimen.missing_fields())) == {
        "throughput-mid_gap",
        "throughput-log-mid_gap",
        "trials-mid_gap",
    }


def test_a_fit_is_drawn_only_where_there_is_one() -> None:
    assert "usl-mid_gap" in plots.figures(specimen.many_cores())
    assert "usl-mid_gap" not in plots.figures(specimen.run())


def test_every_axis_over_threads_says_so_and_shades_what_exceeds_the_cores() -> None:
    figure = drawn(specimen.run(), "throughput-mid_gap")
    assert figure.axes[0].get_xlabel() == "threads"
    said = [t.get_text() for t in figure.axes[0].texts]
    assert "oversubscribed: threads > 2 cores" in said
    inside = drawn(specimen.run(cores=64), "throughput-mid_gap")
    assert not any("oversubscribed" in t.get_text() for t in inside.axes[0].texts)


@pytest.mark.parametrize(
    "name", ["heatmap", "ladder-mid_gap", "latency-mid_gap", "memory-time-mid_gap"]
)
def test_every_panel_of_more_threads_than_cores_says_so(name: str) -> None:
    def headings(cores: int) -> list[str]:
        return [t.get_text() for a in drawn(specimen.run(cores=cores), name).axes for t in a.texts]

    assert any("threads, oversubscribed" in text for text in headings(2))
    assert not any("oversubscribed" in text for text in headings(64))


def test_slanted_names_below_a_heat_map_are_clear_of_its_caption() -> None:
    long = [replace(specimen.WORKLOADS[0], name=f"producer_consumer_{i:02}") for i in range(12)]
    figure = drawn(specimen.run(workloads=tuple(long)), "heatmap")
    FigureCanvasAgg(figure).draw()
    names = figure.axes[-1].get_xticklabels()
    assert names[0].get_rotation() > 0
    caption = figure.texts[-1].get_window_extent()
    assert min(name.get_window_extent().y0 for name in names) > caption.y1


def test_a_limit_far_above_everyone_does_not_squeeze_them() -> None:
    axes = drawn(specimen.run(), "throughput-mid_gap").axes[0]
    best = max(c.throughput.high for c in specimen.run().cells if c.allocator != "null")
    assert axes.get_ylim()[1] < 1.5 * best


def test_equal_runs_make_equal_figures() -> None:
    first = standalone(specimen.run(), "scaling-mid_gap")
    assert first == standalone(specimen.run(), "scaling-mid_gap")


def test_svg_keeps_the_text_of_labels_exactly() -> None:
    text = standalone(specimen.run(), "oversubscription-mid_gap")
    found = [e.text for e in ElementTree.fromstring(text).iter() if e.text]
    assert "0.25 x" in found


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Estimate(1.5, 1.4, 1.6), "faster"),
        (Estimate(0.5, 0.4, 0.6), "slower"),
        (Estimate(1.5, 0.9, 1.6), "same"),
        (Estimate(1.01, 1.005, 1.015), "same"),
        (Estimate(1.5), "same"),
    ],
)
def test_the_heat_map_colours_only_a_difference_that_was_seen(
    ratio: Estimate, verdict: str
) -> None:
    assert seen(ratio, 0.02) == verdict
    assert (shade(ratio, 0.02)[0] == "none") == (verdict == "same")
    assert seen(ratio, 0.02, doubtful=True) == "same"


def test_runs_side_by_side_are_never_joined_into_one_line() -> None:
    runs = specimen.two_hosts()
    figure = hosts.by_host(runs, "mid_gap")
    assert len(figure.axes) == 2
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    hakmem = [t for t in hosts.by_allocator(runs, "mid_gap").tips.values() if t.label == "hakmem"]
    assert len(hakmem) == 2


def test_names_of_runs_on_one_host_differ() -> None:
    run = specimen.one_cell()
    assert len(set(hosts.names([run, run, run]))) == 3


def test_importing_plots_loads_neither_numpy_nor_matplotlib_nor_jinja2() -> None:
    code = "import plots, sys; print({'numpy', 'matplotlib', 'jinja2'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=environment, check=True)  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_drawing_leaves_pyplot_alone() -> None:
    code = (
        "import sys, plots; from tools import specimen; plots.figures(specimen.one_cell());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=environment, check=True)  # fmt: skip
    assert done.stdout.strip() == "False"
