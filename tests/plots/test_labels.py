"""Promises about where labels go."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from plots.drawings import catalogue
from plots.paper.labels import spread
from plots.paper.sheet import Drawing
from tools import specimen

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


def misplaced(figure: Drawing) -> list[str]:
    """Texts that leave the paper, and direct labels whose boxes share more than a sliver."""
    canvas = FigureCanvasAgg(figure)
    # Hinting differs by resolution, so this is the one that reports are drawn at.
    figure.set_dpi(72)
    renderer = canvas.get_renderer()
    boxes = [(text, text.get_window_extent(renderer)) for text in figure.texts]
    wrong = [text.get_text() for text, box in boxes if box.x1 > figure.bbox.width + 1]
    names = [(t, box) for t, box in boxes if (t.get_gid() or "").startswith("name:")]
    for i, (text, box) in enumerate(names):
        for other, its in names[:i]:
            deep = min(box.y1, its.y1) - max(box.y0, its.y0)
            wide = min(box.x1, its.x1) - max(box.x0, its.x0)
            if deep > 0.3 * box.height and wide > 0:
                wrong.append(f"{text.get_text()} on {other.get_text()}")
    return wrong


@pytest.mark.parametrize(
    "condition", ["twelve allocators, ten thread counts", "extreme values", "several programs"]
)
@pytest.mark.parametrize("width", [3.94, 10.0])
def test_no_direct_label_covers_another_or_leaves_the_paper(condition: str, width: float) -> None:
    run = specimen.CONDITIONS[condition]()
    for entry in catalogue.entries(run):
        if entry.present:
            assert misplaced(entry.draw(width)) == [], entry.name
