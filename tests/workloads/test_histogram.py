"""Sizes are read as spreadsheets and tracers write them, and a bad line is told by its number."""

from __future__ import annotations

from pathlib import Path

import pytest

import workloads
from workloads import histogram

SAME = ((16, 3.0), (4096, 7.0))


def read(tmp_path: Path, text: str | bytes) -> tuple[histogram.Pair, ...]:
    path = tmp_path / "sizes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return histogram.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "16,3\n4096,7\n",
        "\ufeffsize,count\r\n16,3\r\n4096,7\r\n",
        "size,count\n16,3\n4096,7\n".encode("utf-16"),
        "size;count\n16;3\n4096;7\n",
        "Bytes\tCalls\n16\t3\n4096\t7\n",
        "# a trace\n\n16 3  # often\n  4096   7\n",
        "0x10,3\n4K,7\n",
        "16 B, 3\n4KiB, 7e0\n",
        '"size","count"\n"16","3"\n"4096","7"\n',
        "who,count,size (bytes)\nme,3,16\nyou,7,0x1000\n",
        "@sizes:\n[16]      3 |@@    |\n[4K]      7 |@@@@@@|\n",
    ],
)
def test_each_way_of_writing_the_same_sizes_is_read(tmp_path: Path, text: str | bytes) -> None:
    assert read(tmp_path, text) == SAME


@pytest.mark.parametrize(
    ("line", "low", "high"),
    [
        ("[16, 32)  10 |@@@|", 16, 31),
        ("[1K, 2K)  10", 1024, 2047),
        ("(16, 32]  10", 17, 32),
        ("16 -> 31 : 10 |***|", 16, 31),
        ("16-31,10", 16, 31),
        ("[0, 1]  10", 1, 1),
    ],
)
def test_a_range_is_spread_evenly_between_its_ends(
    tmp_path: Path, line: str, low: int, high: int
) -> None:
    pairs = read(tmp_path, f"{line}\n")
    sizes = [size for size, _ in pairs]
    assert low <= min(sizes) <= low + (high - low) / 16
    assert high - (high - low) / 16 - 1 <= max(sizes) <= high
    assert sum(count for _, count in pairs) == pytest.approx(10)


def test_size_0_gets_the_block_of_size_1(tmp_path: Path) -> None:
    assert read(tmp_path, "0,5\n") == ((1, 5.0),)


@pytest.mark.parametrize(
    "line",
    ["8", "16;3,5", "1,024,5", "1 024 5", "[32, 16) 1", "-8,1", "8.5,1", "8,nan", "x,8", "8,-1"],
)
def test_a_bad_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(workloads.SpecError, match=r"sizes\.csv', line 4: ") as caught:
        read(tmp_path, f"# first\nsize,count\n16,3\n{line}\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "size,count\n", b"\xff,1\n", b"16,3\0\n", "9" * 200_000])
def test_what_holds_no_sizes_is_one_line(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(workloads.SpecError) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_never_ends_is_no_file_of_sizes() -> None:
    with pytest.raises(workloads.SpecError, match="is no file"):
        histogram.read(Path("/dev/zero"))
