"""What a newcomer types wrong is answered by one line that says what would be accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

import workloads
from mtbench.__main__ import main
from mtbench.errors import Exit
from mtbench.mallocs import allocators
from mtbench.plan import jobs
from tools.repository import DATA

LADDER = str(DATA / "ladder")
Say = pytest.CaptureFixture[str]


def code(*arguments: str) -> int:
    """The exit code, whether the command returns it or the parser leaves with it."""
    try:
        return main(list(arguments))
    except SystemExit as leaving:
        assert isinstance(leaving.code, int)
        return leaving.code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # A threshold in per cent would be a gate that never closes.
        (("compare", "a", "b", "--threshold", "5"), "0.05 for 5 %"),
        (("compare", "a", "b", "--threshold", "1"), "0.05 for 5 %"),
        (("compare", "a", "b", "--threshold", "-0.1"), "0.05 for 5 %"),
        (("rank", "a", "--fail-below", "nan"), "such as 0.95"),
        (("rank", "a", "--fail-below", "-1"), "such as 0.95"),
        (
            ("rank", LADDER, "--against", "hakmem"),
            "leaves nobody to compare hakmem with; accepted: ",
        ),
        (("sweep", "--memory", "-1"), "such as 512M or 2G"),
        (("sweep", "--memory", "0"), "such as 512M or 2G"),
        (("sweep", "--memory", "infG"), "such as 512M or 2G"),
        (("sweep", "--memory", "many"), "such as 512M or 2G"),
        (("exec", "--ready", "true", "--", "sleep", "1"), "goes with --server"),
        (("exec", "--lower", "--", "sleep", "1"), "goes with --metric"),
        (("sweep", "--bogus"), "unrecognized arguments: --bogus (see mtbench sweep --help)"),
        (("doctor", "twice"), "unrecognized arguments: twice (see mtbench doctor --help)"),
        (("--bogus",), "(see mtbench --help)"),
        (("list", "workloads", "--show", "all"), "--show prints one workload"),
        (("list", "sizes", "--show", "larson"), "--show prints one workload"),
        (("list", "workloads", "--show", "no_such"), "unknown workload 'no_such'; accepted: "),
        (("sweep", "--seed=-1"), "-1 is not a whole number from 0 to 10^15"),
        (("sweep", "-n", "1000000"), "not a number of trials, 1-10000"),
        (("exec", "-n", "10001", "--", "true"), "not a number of trials, 1-10000"),
        (("exec", "--shell", "bash '", "--", "true"), "--shell 'bash '' cannot be split"),
        (("sweep", "-a", "system,,hakmem"), "has an empty part"),
        (("sweep", "-w", "mid_gap,"), "has an empty part"),
        (("sweep", "-w", "mid_gap:work=²"), "work = '²': must be a whole number"),
        (("sweep", "-t", "9" * 5000), "accepted: 1-64 (powers of two)"),
        (("sweep", "-a", "mine=~nobody_here/lib.so"), "no library at ~nobody_here/lib.so"),
        (("sweep", "-a", "mine=/" + "x" * 5000), "no library at"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_is_accepted(
    arguments: tuple[str, ...], words: str, capsys: Say
) -> None:
    assert code(*arguments) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


# What an option gets from a variable of the shell that is not set.
@pytest.mark.parametrize(
    "arguments",
    [
        *(("sweep", name, "") for name in ("-a", "-w", "-t", "-o", "--resume", "--title")),
        *(("sweep", name, "") for name in ("-n", "--duration", "--memory", "--cluster", "--pin")),
        *(("exec", name, "", "--", "true") for name in ("--server", "--metric", "--setup")),
        *(("exec", name, "", "--", "true") for name in ("--shell", "--name", "--client", "-o")),
        ("report", ""),
        ("report", "run", "-o", ""),
        ("report", "run", "--format", ""),
        ("compare", "a", ""),
        ("rank", "a", "--of", " "),
        ("rank", "a", "--against", ""),
        ("list", "--show", ""),
        ("verify", "--only", ""),
        ("run", "-a", ""),
    ],
)
def test_an_empty_value_is_refused(arguments: tuple[str, ...], capsys: Say) -> None:
    assert code(*arguments) == Exit.USAGE
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert any(words in said for words in ("variable of the shell", "invalid", "such as"))


def test_a_comma_in_a_path_is_written_with_a_backslash(tmp_path: Path) -> None:
    file = tmp_path / "a,b.toml"
    file.write_text(workloads.catalogue()["larson"].to_toml(), encoding="utf-8")
    escaped = str(file).replace(",", "\\,")
    assert list(jobs.workload_specs([f"mid_gap,{escaped}"])) == ["mid_gap", "larson"]
    assert allocators.split(f"system,mine={escaped}") == ["system", f"mine={file}"]


def test_a_workload_that_is_shown_is_a_file_that_is_taken(tmp_path: Path, capsys: Say) -> None:
    file = tmp_path / "shown.toml"
    for name, spec in workloads.catalogue().items():
        assert code("list", "workloads", "--show", name) == Exit.FINE
        file.write_text(capsys.readouterr().out, encoding="utf-8")
        assert workloads.load(file) == spec


@pytest.mark.parametrize("place", ["build_parser", "import_module"])
def test_an_interrupt_while_starting_is_one_line_and_exit_code_130(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"mtbench.__main__.{place}", interrupted)
    assert code("list") == Exit.INTERRUPTED
    assert capsys.readouterr().err == "mtbench: interrupted\n"
