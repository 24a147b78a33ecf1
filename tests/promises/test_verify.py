"""mtbench verify as a command: its table, its JSON, its exit codes, its refusals."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mtbench.commands.verify import (
    MISUSE,
    Promise,
    Report,
    Verdict,
    add_arguments,
    broken_lines,
    main,
    probe_path,
    run_probe,
    table,
)
from mtbench.errors import UsageError
from mtbench.mallocs.allocators import Allocator, resolve


def command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


def verdict(name: str, result: str, why: str = "", stop: str | None = None) -> Verdict:
    return Verdict(Promise(name, name.partition(".")[0], "quick", "a line"), result, why, 0.1, stop)


SLOW = "import os, time\nfor _ in range({beats}):\n    time.sleep(0.5)\n    os.utime(1)\n"


@pytest.mark.parametrize(("after", "result"), [("", "kept"), ("time.sleep(60)", "broken")])
def test_a_probe_is_hung_when_it_gives_no_sign_of_life_not_when_it_is_slow(
    tmp_path: Path, after: str, result: str
) -> None:
    probe = tmp_path / "probe"
    probe.write_text(f"#!{sys.executable}\n{SLOW.format(beats=8)}{after}\n", encoding="utf-8")
    probe.chmod(0o755)
    promise = Promise("a.b", "a", "slow", "a line")
    found = run_probe(probe, promise, resolve("system"), quick=True, timeout=3.0)
    assert found.result == result
    assert found.seconds > 4.0
    assert found.why == ("" if result == "kept" else "hang: no sign of life for 3 s")


def test_a_probe_of_many_processes_gives_signs_of_life(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        os.utime(out.fileno(), (0, 0))
        subprocess.run([probe_path(), "--quick", "fork.own-memory"], stdout=out, check=True)
        assert os.fstat(out.fileno()).st_size == 0
        assert os.fstat(out.fileno()).st_mtime > 0


def test_exit_code_is_zero_when_all_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["-a", "system", "--only", r"^zero\.", "--quick"]) == 0
    assert "6/6" in capsys.readouterr().out


def test_exit_code_is_three_when_a_promise_broke(
    faulty: Allocator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAULTY", "zero-null")
    assert command(["-a", f"faulty={faulty.path}", "--only", r"^zero\.malloc", "--quick"]) == 3
    assert "zero.malloc-unique: malloc(0) = NULL" in capsys.readouterr().out


def test_unstopped_misuse_counts_only_on_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # glibc's tcache takes a pointer into its own block without a word.
    only = ["-a", "system", "--only", r"^misuse\.overflow-1-huge"]
    assert command(only) == 0
    assert command([*only, "--misuse"]) == 3


def test_json_holds_every_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    command(["-a", "system", "--only", r"^zero\.", "--quick", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "mtbench-verify"
    (system,) = document["allocators"]
    assert system["kept"] == 6
    assert {v["result"] for v in system["verdicts"]} == {"kept"}


def test_list_names_every_promise_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(names) == len(set(names)) > 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "("],
        ["--only", "no such promise"],
        ["--jobs", "0"],
        ["--timeout", "-1"],
        ["-a", "no-such-malloc"],
        ["-a", "null"],
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        command(arguments)
    assert "\n" not in str(error.value)


def test_table_scores_misuse_apart_from_promises() -> None:
    report = Report("some", "/lib.so", {})
    report.verdicts = [
        verdict("zero.one", "kept"),
        verdict("zero.two", "broken", "why"),
        verdict("zero.three", "inapplicable", "reason"),
        verdict(f"{MISUSE}.a", "kept", "stopped by SIGABRT: text", "purpose"),
        verdict(f"{MISUSE}.b", "broken", "not stopped"),
    ]
    lines = [line.split() for line in table([report]).splitlines()]
    assert ["zero", "1/2"] in lines
    assert ["all", "promises", "1/2"] in lines
    assert ["misuse", "stopped", "1/2"] in lines
    assert broken_lines(report, with_misuse=False) == ["zero.two: why"]
    assert len(broken_lines(report, with_misuse=True)) == 2


def test_a_misuse_is_stopped_with_signal_and_message(check: Callable[..., Report]) -> None:
    report = check("system", r"^misuse\.double-free-tiny$")
    (row,) = report.misuse("kept")
    assert row.stop == "purpose"
    assert row.why.startswith("stopped by SIGABRT: free(): double free")
