"""Tables and numbers for a terminal."""

from __future__ import annotations

import pytest

from mtbench.base.table import bytes_, number, text_table
from plots.numbers import bytes_text, compact
from plots.pages.table import markdown_table


@pytest.mark.parametrize("value", [0.5, 12.3, 999, 999.7, 41_234_567, 999_700, 2.5e12])
def test_a_number_has_the_unit_it_has_in_a_picture(value: float) -> None:
    assert float(number(value).rstrip("kMGT")) == float(compact(value).rstrip(" kMGT"))
    assert number(value).lstrip("0123456789.") == compact(value).lstrip("0123456789.").strip()
    assert bytes_(value).split()[1] == bytes_text(value).split()[1]


def test_zeros_at_the_end_of_a_number_stay_so_that_a_column_lines_up() -> None:
    assert [number(value) for value in (1.5e6, 2e6, 0.25)] == ["1.50M", "2.00M", "0.250"]


def test_the_last_letter_aligns_all_columns_that_follow() -> None:
    header, rows = ["a", "b", "c"], [["one", "22", "3"]]
    assert text_table(header, rows, align="lr") == "a     b  c\none  22  3"
    assert text_table(header, rows, align="l") == "a    b   c\none  22  3"
    assert markdown_table(header, rows, align="lr").splitlines()[1] == "| --- | ---: | ---: |"
    assert markdown_table(header, rows, align="llr").splitlines()[1] == "| --- | --- | ---: |"
