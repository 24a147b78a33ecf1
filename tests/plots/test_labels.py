"""Promises about where labels go."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from plots import catalogue, specimen
from plots.labels import spread
from plots.sheet import Drawing

places = st.lists(st.floats(0, 10, allow_nan=False), max_size=20).map(sorted)


@given(places, st.floats(0.01, 0.6))
def test_labels_keep_their_order_their_distance_and_the_panel(
    wanted: list[float], gap: float
) -> None:
    found = spread(wanted, gap, 0.0, 10.0)
    least = min(gap, 10 / max(1, len(wanted) - 1))
    assert all(b - a >= least - 1e-9 for a, b in pairwise(found))
    assert all(-1e-9 <= place <= 10 + 1e-9 for place in found)


def test_labels_that_have_room_stay_where_they_belong() -> None:
    assert spread([1.0, 2.0, 3.0], 0.5, 0.0, 10.0) == [1.0, 2.0, 3.0]


def test_two_labels_in_one_place_part_evenly() -> None:
    assert spread([5.0, 5.0], 1.0, 0.0, 10.0) == pytest.approx([4.5, 5.5])


def overlapping(figure: Drawing) -> list[tuple[str, str]]:
    """Pairs of direct labels whose boxes share more than a sliver."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    names = [t for t in figure.texts if (t.get_gid() or "").startswith("name:")]
    boxes = [t.get_window_extent(canvas.get_renderer()) for t in names]
    pairs = []
    for i, box in enumerate(boxes):
        for j in range(i):
            other = boxes[j]
            deep = min(box.y1, other.y1) - max(box.y0, other.y0)
            wide = min(box.x1, other.x1) - max(box.x0, other.x0)
            if deep > 0.3 * box.height and wide > 0:
                pairs.append((names[j].get_text(), names[i].get_text()))
    return pairs


@pytest.mark.parametrize("condition", ["twelve allocators, ten thread counts", "extreme values"])
def test_no_direct_label_covers_another(condition: str) -> None:
    run = specimen.CONDITIONS[condition]()
    for entry in catalogue.entries(run):
        if entry.present:
            assert overlapping(entry.draw(10.0)) == [], entry.name


def test_labels_stay_on_the_paper() -> None:
    run = specimen.full()
    for entry in catalogue.entries(run):
        if not entry.present:
            continue
        figure = entry.draw(10.0)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        right = figure.bbox.width
        ends = [t.get_window_extent(canvas.get_renderer()).x1 for t in figure.texts]
        assert np.max(ends) <= right + 1, entry.name
