"""A program's own numbers: what is read is what stands there, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mtbench.errors import UsageError
from mtbench.programs.number import Number, number, numbers
from mtbench.programs.program import Program, checked
from mtbench.runs import record


def test_the_last_number_of_the_output_counts() -> None:
    wanted = number(r"rate=(\S+) per")
    assert wanted == Number("rate", r"(\S+) per")
    assert wanted.find("1 per\nx per\n2,500.5 per s") == 2500.5
    assert number(r"rate=a (\d+)|b").find("a 3 b") == 3
    with pytest.raises(UsageError):
        number("rate=no group")


def test_a_name_that_the_output_says_itself_is_part_of_what_is_looked_for() -> None:
    assert number(r"throughput=([\d.]+)").find("throughput=5\nelapsed 77\n") == 5
    assert number(r"throughput=([\d.]+)").find("5\nelapsed 77\n") == 77
    assert number(r"(?i)rate=(\S+)").find("Rate=5") == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [("1500.5", 1500.5), ("1,234.5", 1234.5), ("1,234,567", 1234567), (".5", 0.5), ("+2e3", 2000)],
)
def test_a_number_is_read_as_it_is_written(text: str, value: float) -> None:
    assert number(r"x=(\S*)").find(f"x={text}\n") == value


@pytest.mark.parametrize(
    "text",
    ["1,5", "1,500", "0,123", "1.234,5", "1,2345.6", "nan", "inf", "1e400", "1_000", "٣", "", "x"],
)
def test_what_may_mean_two_numbers_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="found"):
        number(r"x=(\S*)").find(f"x=7\nx={text}\n")


@pytest.mark.parametrize(
    ("pattern", "output"),
    [
        (r"r=([\d.]+) requests", "1,234.5 requests"),
        (r"r=took ([\d.]+)", "took 1,500"),
        (r"r=took ([\d.]+)", "took 1e6"),
        (r"r=(\d+)$", "0.25"),
    ],
)
def test_a_number_is_not_cut_out_of_a_longer_one(pattern: str, output: str) -> None:
    with pytest.raises(ValueError, match="a part of"):
        number(pattern).find(output)


def test_what_a_pattern_matches_beside_the_number_is_no_part_of_it() -> None:
    assert number(r"second=^\d+,(\d+),").find("10,20,30") == 20
    assert number(r"took ([\d.]+)").find("took 15, and 3 more") == 15


@pytest.mark.parametrize(
    "texts",
    [
        ("wall_s=(.)",),
        ("Wall_S=(.)",),
        ("rss_peak_ratio=(.)",),
        ("allocator=(.)",),
        ("a=(.)", "a=(..)"),
        ("a=(.)", "a_low=(.)"),
        ("(.)", "(..)"),
    ],
)
def test_a_name_whose_columns_are_taken_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="there is a"):
        numbers(texts, ("wall_s", "rss_peak"), lower=False)


def test_a_program_that_the_loader_distrusts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "su"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o4755)
    checked([str(program)], served=True)
    monkeypatch.setattr("os.geteuid", lambda: program.stat().st_uid + 1)
    with pytest.raises(UsageError, match="rights of its own"):
        checked([str(program)], served=True)
    checked([str(program)], served=False)


def test_a_program_survives_its_manifest() -> None:
    task = Program("p", ("a", "b c"), numbers=(Number("x", "(.)", lower=True),), codes=())
    assert record.checked(json.loads(json.dumps(msgspec.to_builtins(task))), Program) == task
