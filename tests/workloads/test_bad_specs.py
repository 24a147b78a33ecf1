"""Every bad value is refused in one line that names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workloads

GOOD: dict[str, Any] = {
    "name": "w",
    "kernel": "toggle",
    "sizes": {"kind": "uniform", "low": 16, "high": 1024},
}

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "two words"}, "name = 'two words'", "letters"),
    ({"name": 5}, "name = 5", "letters"),
    ({"description": "a\nb"}, "description", "one line"),
    ({"kernel": "togle"}, "kernel = 'togle'", "toggle, replace"),
    ({"kernel": ["toggle"]}, "kernel = ['toggle']", "toggle, replace"),
    ({"kernel": {}}, "kernel = {}", "toggle, replace"),
    ({"description": "a\x00b"}, "description", "one line"),
    ({"description": "\udcff"}, "description", "one line"),
    ({"work": 10**4000}, "work = 1000", "from 0"),
    ({"work": "9" * 5000}, "work = '999", "whole number"),
    ({"alignments": {"9" * 5000: 1}}, "alignments.99", "powers of two"),
    ({"alignments": {"²": 1}}, "alignments.² = 1", "powers of two"),
    ({"colour": 1}, "colour = 1", "the keys are name"),
    ({"touch": "some"}, "touch = 'some'", "none, first, ends, pages, all"),
    ({"touch": True}, "touch = True", "none, first"),
    ({"work": -1}, "work = -1", "from 0"),
    ({"work": 1.5}, "work = 1.5", "whole number"),
    ({"life": "long"}, "life = 'long'", "whole number"),
    ({"unit": "writes"}, "unit = 'writes'", "operations, threads"),
    ({"sizes": 5}, "sizes = 5", "table"),
    ({"sizes": {"kind": "normal"}}, "sizes.kind = 'normal'", "uniform"),
    ({"sizes": {}}, "sizes.kind = None", "uniform"),
    ({"sizes": {"kind": "fixed"}}, "sizes.size = None", "whole number"),
    ({"sizes": {"kind": "fixed", "size": 0}}, "sizes.size = 0", "from 1"),
    ({"sizes": {"kind": "fixed", "size": 1 << 31}}, "sizes.size", "1073741824"),
    ({"sizes": {"kind": "fixed", "size": 8, "low": 1}}, "sizes.low = 1", "left out"),
    ({"sizes": {"kind": "uniform", "low": 9, "high": 8}}, "sizes.low = 9", "sizes.high = 8"),
    ({"sizes": {"kind": "uniform", "low": "9", "high": 8}}, "sizes.low = '9'", "whole"),
    (
        {"sizes": {"kind": "exponential", "low": 1, "high": 8, "mean": float("nan")}},
        "sizes.mean = nan",
        "from 1",
    ),
    (
        {"sizes": {"kind": "pareto", "low": 1, "high": 8, "shape": 0}},
        "sizes.shape = 0",
        "from 0.01",
    ),
    (
        {"sizes": {"kind": "bimodal", "small": 8, "large": 64, "large_share": 2}},
        "sizes.large_share = 2",
        "0 to 1",
    ),
    ({"sizes": {"kind": "weighted", "values": []}}, "sizes.values = []", "at least one"),
    ({"sizes": {"kind": "weighted", "values": [[8]]}}, "sizes.values = [8]", "pair"),
    ({"sizes": {"kind": "weighted", "values": [[8, -1]]}}, "weight = -1", "from 0"),
    ({"sizes": {"kind": "weighted", "values": [[8, 0]]}}, "sizes.values", "above 0"),
    ({"sizes": {"kind": "histogram"}}, "sizes.path = None", "CSV"),
    ({"sizes": {"kind": "histogram", "path": "absent.csv"}}, "absent.csv", "readable"),
    ({"calls": {}}, "calls = {}", "weight"),
    ({"calls": {"mallok": 1}}, "calls.mallok = 1", "aligned_alloc"),
    ({"calls": {"malloc": -1}}, "calls.malloc = -1", "from 0"),
    ({"calls": {"malloc": 0}}, "calls", "above 0"),
    ({"alignments": {"24": 1}}, "alignments.24 = 1", "powers of two"),
    ({"alignments": {"big": 1}}, "alignments.big = 1", "powers of two"),
    ({"phases": [{"kind": "rest", "seconds": 1}]}, "phases.kind = 'rest'", "steady, ramp, drain"),
    ({"phases": [{"kind": "steady", "seconds": 0}]}, "phases.seconds = 0", "seconds"),
    ({"phases": [{"kind": "drain", "seconds": 1}]}, "phases = ['drain']", "one of them steady"),
    ({"phases": [{"kind": "steady"}]}, "phases", "kind and seconds"),
    ({"phases": "steady"}, "phases = 'steady'", "list"),
    ({"parameters": {"slots": 0}}, "parameters.slots = 0", "from 1"),
    ({"parameters": {"slots": 2.5}}, "parameters.slots = 2.5", "whole"),
    ({"parameters": {"slotz": 1}}, "parameters.slotz = 1", "takes slots"),
    ({"parameters": 3}, "parameters = 3", "table"),
    (
        {"kernel": "mixed", "parameters": {"lifetime": "long"}},
        "parameters.lifetime = 'long'",
        "slots, lifo, fifo, generational",
    ),
    ({"kernel": "mixed", "parameters": {"share": 1.5}}, "parameters.share = 1.5", "0 to 1"),
]


@pytest.mark.parametrize(("change", "named", "allowed"), BAD)
def test_bad_value_is_named_with_what_is_allowed(
    change: dict[str, Any], named: str, allowed: str
) -> None:
    with pytest.raises(workloads.SpecError) as caught:
        workloads.Workload.from_mapping({**GOOD, **change})
    message = str(caught.value)
    assert "\n" not in message
    assert named in message
    assert allowed in message


@pytest.mark.parametrize("key", ["name", "kernel", "sizes"])
def test_missing_key_is_named(key: str) -> None:
    with pytest.raises(workloads.SpecError, match=f"{key} is missing"):
        workloads.Workload.from_mapping({name: GOOD[name] for name in GOOD if name != key})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "name is missing"),
        ("name = ", "no TOML"),
        ('name = "w"\nkernel = "toggle"\nsizes = {kind = "fixed", size = -1}', "size = -1"),
        ("work = " + "9" * 5000, "no TOML"),
        ("a = " + "[" * 5000, "nested too deep"),
    ],
)
def test_bad_file_is_named_with_its_path(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(workloads.SpecError, match=r"mine\.toml") as caught:
        workloads.load(path)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"name = '\x00'"])
def test_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(workloads.SpecError, match="no TOML"):
        workloads.load(path)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(workloads.SpecError, match="cannot be read"):
        workloads.load(tmp_path / "absent.toml")


@pytest.mark.parametrize("line", ["8", "8,x", "x,8", "-8,1", "8.5,1", "8,nan", "1,2,3"])
def test_bad_line_of_a_histogram_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(f"size,count\n16,3\n{line}\n", encoding="utf-8")
    with pytest.raises(workloads.SpecError) as caught:
        workloads.Sizes.from_csv(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("threads", 0, "threads = 0"),
        ("threads", 1.5, "threads = 1.5"),
        ("duration", 0, "duration = 0"),
        ("duration", float("inf"), "duration = inf"),
        ("warmup", -1, "warmup = -1"),
        ("seed", -1, "seed = -1"),
        ("latency_every", -1, "latency_every = -1"),
        ("loop", "empty", "loop = 'empty'"),
        ("affinity", [-1], "affinity = -1"),
        ("affinity", [5000], "affinity = 5000"),
    ],
)
def test_bad_request_is_refused(option: str, value: Any, named: str) -> None:
    options: dict[str, Any] = {"threads": 1, "duration": 1.0, "warmup": 0.0, "seed": 1}
    with pytest.raises(workloads.SpecError, match=named):
        workloads.request(workloads.catalogue()["mid_gap"], **{**options, option: value})


def test_unknown_option_is_named() -> None:
    with pytest.raises(workloads.SpecError, match=r"slotz = 5.*slots"):
        workloads.catalogue()["mid_gap"].with_options(slotz=5)


@pytest.mark.parametrize("message", [b"", b"MTW1", b"XXXX\0\0\0\0", b"MTW1\2\0\0\0{}"])
def test_bytes_that_are_no_request_are_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="not a workload request"):
        workloads.execute(message)
