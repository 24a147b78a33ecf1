"""Promises about colours, markers and names."""

from __future__ import annotations

import pytest

from plots import style
from tools.specimen import CHARACTERS


def luminance(colour: str) -> float:
    """WCAG 2 relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


SERIES = [look for look in (*style.LOOKS.values(), *style.POOL) if look is not style.NULL]


def test_an_allocator_looks_the_same_whoever_else_is_drawn() -> None:
    for label in CHARACTERS:
        assert style.looks([label])[label] == style.looks(CHARACTERS)[label]


def test_no_two_allocators_of_a_run_look_alike() -> None:
    looks = style.looks([*CHARACTERS, "mine", "yours", "theirs"])
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)


def test_no_two_known_looks_share_colour_or_marker_and_dash() -> None:
    assert len({look.colour for look in SERIES}) == len(SERIES)
    for name, look in style.LOOKS.items():
        same = [n for n, o in style.LOOKS.items() if (o.marker, o.dash) == (look.marker, look.dash)]
        assert same == [name]


def test_more_unknown_allocators_than_the_pool_still_draw() -> None:
    labels = [f"unknown-{i}" for i in range(len(style.POOL) + 5)]
    assert set(style.looks(labels)) == set(labels)


@pytest.mark.parametrize("look", SERIES, ids=lambda look: look.colour)
def test_every_series_colour_is_readable_as_text_on_light_and_dark_paper(
    look: style.Look,
) -> None:
    assert contrast(look.colour, style.WHITE) >= 4.5
    assert contrast(style.darker_page(look.colour), style.DARK[style.WHITE]) >= 4.5


def test_short_names_keep_distinct_labels_distinct() -> None:
    labels = [
        "hakmem",
        "hakmem:registry=locked",
        "hakmem:lock=mutex",
        "hakmem:registry=locked,route=cascade",
        "hakmem:check=1",
        "hakmem:check=0",
    ]
    assert len({style.short(label) for label in labels}) == len(labels)
    assert style.short("hakmem:registry=locked") == "hakmem locked"
    assert style.short("hakmem:check=1") == "hakmem check=1"


def test_a_library_spelling_of_a_peer_has_the_peer_s_look() -> None:
    assert style.looks(["tcmalloc_minimal"])["tcmalloc_minimal"] == style.LOOKS["tcmalloc"]
