"""What a program asks of its malloc: counted once, kept with the run, told in its report."""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import plots
from mtbench.analysis import programs
from mtbench.commands.report import load
from mtbench.runs.manifest import decoded
from mtbench.runs.result import ProgramUse
from mtbench.trial.tally import Counts, counting, counts, tally
from plots.data import PROGRAM_MEASURES, Estimate, Program, ProgramCell, Tally
from plots.numbers import in_words, part
from tests.mtbench.conftest import Command

QUIET = ("--no-progress", "-o", "run")
USED = ProgramUse(wall_s=2.0, user_s=0.6, system_s=0.4)


def written(file: Path, *slots: tuple[int, ...]) -> Counts:
    """What is read of a file with a header and these slots."""
    counting(file)
    with file.open("r+b") as opened:
        for slot in slots:
            opened.write(struct.pack("=8Q", *slot, *[0] * (8 - len(slot))))
    return counts(file)


def test_slots_are_summed_without_what_reading_the_clock_costs(tmp_path: Path) -> None:
    header = (2, 0, 0, 0, 25)
    slots = (60, 40, 6000, 2, 150), (30, 10, 3000, 1, 45), (999, 999, 999, 999, 999)
    assert written(tmp_path / "file", header, *slots) == Counts(90, 50, 9000, 3, 120)
    # A clock that was slow when its cost was taken leaves nothing, and never less.
    assert written(tmp_path / "file", (1, 0, 0, 0, 500), (1, 1, 1, 2, 100)).sampled_ns == 0
    assert written(tmp_path / "file") == Counts(0, 0, 0, 0, 0)


def test_a_share_is_of_the_cpu_time_of_the_same_run() -> None:
    found = tally(Counts(3_000_000, 1_000_000, 300_000_000, 1000, 50_000), USED)
    assert found == Tally(calls_per_s=2e6, share=0.2, mean_bytes=100.0)
    found = tally(Counts(3_000_000, 1_000_000, 300_000_000, 1000, 500_000), USED)
    assert found is not None and found.share == 1.0


@pytest.mark.parametrize(
    ("found", "used"),
    [
        (Counts(0, 0, 0, 0, 0), USED),
        (Counts(10, 10, 100, 0, 0), USED),
        (Counts(10, 10, 100, 2, 10), ProgramUse(wall_s=2.0, user_s=0.0, system_s=0.0)),
        (Counts(10, 10, 100, 2, 10), ProgramUse(user_s=1.0, system_s=0.0)),
    ],
)
def test_what_was_not_counted_is_no_zero(found: Counts, used: ProgramUse) -> None:
    assert tally(found, used) is None


def logged(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


def test_a_program_is_counted_once_and_the_run_keeps_it(command: Command, tmp_path: Path) -> None:
    code = "my @x = map { q(x) x 50 . $_ } 1 .. 30000; select undef, undef, undef, 0.3"
    note = ("--prepare", "echo $MTBENCH_ALLOCATOR >> log")
    done = command("exec", "-a", "system,hakmem", "-n", 1, *note, *QUIET, "--", "perl", "-e", code)
    assert done.returncode == 0, done.stderr
    told = "of its CPU time is in malloc and free: "
    assert done.stdout.count(told) == 1
    file = tmp_path / "run" / "manifest.json"
    (found,) = json.loads(file.read_text())["tallies"].values()
    assert found["calls_per_s"] > 0 and 0 < found["share"] < 1
    assert 16 < found["mean_bytes"] < 10_000
    assert (tmp_path / "run" / "report.html").read_text().count(told) == 1
    *_, run = load(tmp_path / "run")
    assert plots.markdown(run).count(told) == 1
    (tmp_path / "run" / "trials.jsonl").write_text("")
    done = command("exec", "--resume", "run", "--json", "--no-progress")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tallies"] == {"perl": found}
    assert logged(tmp_path)[0] == "tally" and logged(tmp_path).count("tally") == 1
    with pytest.raises(ValueError, match=r"tallies\.perl has what nobody could have counted"):
        decoded(file.read_text().replace(f'"share": {found["share"]}', '"share": 1.5'))


def test_a_program_that_fails_so_has_none_and_is_not_asked_again(
    command: Command, tmp_path: Path
) -> None:
    code = "exit 3 if $ENV{MTBENCH_TALLY}; select undef, undef, undef, 0.3"
    note = ("--prepare", "echo $MTBENCH_ALLOCATOR >> log")
    done = command("exec", "-a", "system", "-n", 1, *note, *QUIET, "--", "perl", "-e", code)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert "malloc and free" not in done.stdout
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["tallies"] == {"perl": None}
    (tmp_path / "run" / "trials.jsonl").write_text("")
    assert command("exec", "--resume", "run", "--no-progress").returncode == 0
    assert logged(tmp_path).count("tally") == 1


SERVER = """
import os, socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
with open("port", "w") as file:
    file.write(str(s.getsockname()[1]))
s.listen()
c, _ = s.accept()
c.sendall(b"counted" if os.environ.get("MTBENCH_TALLY") else b"plain")
c.close()
s.accept()
"""
CLIENT = """
import os, socket
c = socket.create_connection(("127.0.0.1", int(open("port").read())))
with open("seen", "a") as file:
    print(c.recv(99).decode(), "MTBENCH_TALLY" in os.environ, file=file)
"""


def test_of_a_server_the_server_is_counted(command: Command, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    python = f"{sys.executable} -S"
    words = ("--server", f"{python} server.py", "--client", f"{python} client.py")
    done = command("exec", "-a", "system", "-n", 1, "--prepare", "rm -f port", *QUIET, *words)
    # It is ended by a signal, which is no failure that would have to be explained.
    assert done.returncode == 0 and "dies by" not in done.stdout, done.stderr
    assert (tmp_path / "seen").read_text().splitlines() == ["counted False", "plain False"]
    (found,) = decoded((tmp_path / "run" / "manifest.json").read_text()).tallies.values()
    assert found is not None and found.calls_per_s > 0


WALL = PROGRAM_MEASURES[0]


def cell(allocator: str, ratio: float, verdict: str = "") -> ProgramCell:
    ratios = {"wall_s": Estimate(ratio, ratio - 0.01, ratio + 0.01), "rss_peak": Estimate(1.2)}
    return ProgramCell(allocator, 9, 0, ratios=ratios if allocator != "system" else {},
                       verdict=verdict)  # fmt: skip


def told(*cells: ProgramCell, tally: Tally | None = None) -> list[tuple[str, str]]:
    shown = [Program("xz", "xz", 1, "xz", WALL, cells=(cell("system", 1.0), *cells), tally=tally)]
    run = SimpleNamespace(manifest=SimpleNamespace(without_preload={}), records=lambda: ())
    results = SimpleNamespace(failures=())
    found = programs.findings(cast(Any, run), shown, cast(Any, results), "system")
    return [(entry.text, entry.evidence) for entry in found]


def test_where_no_malloc_differs_one_sentence_says_how_little_there_is_to_differ() -> None:
    few = Tally(4012.0, 0.0031, 100.0)
    alike = (cell("a", 1.01), cell("b", 0.99))
    assert told(*alike, tally=few) == [
        (
            "xz: no difference seen in wall time between 3 mallocs; 0.31 % of its CPU time is the "
            "malloc's (4 thousand calls per second).",
            "wall time 0.99 to 1.01 x, peak memory 1.20 to 1.20 x, n = 9",
        )
    ]
    ((text, _),) = told(*alike)
    assert text == "xz: no difference seen in wall time between 3 mallocs."
    ((text, _),) = told(cell("a", 1.01), tally=few)
    assert text.endswith("to system; 0.31 % of its CPU time is the malloc's (4 thousand calls per "
                         "second).")  # fmt: skip
    # Where one differs, that is the answer.
    (worse, _), (same, _) = told(cell("a", 1.3, "worse"), cell("b", 0.99), tally=few)
    assert worse.endswith("worse.") and same.endswith("no difference seen in wall time to system.")
    assert len(told(cell("a", 1.0, "too few trials"), cell("b", 0.99), tally=few)) == 2


def test_rough_numbers_are_words() -> None:
    assert [in_words(value) for value in (0, 87.4, 4012, 1234567, 3e9)] == [
        *("0", "87", "4 thousand", "1.2 million", "3 billion")
    ]
    assert [part(value) for value in (0, 0.0009, 0.0031, 0.123, 1)] == [
        *("under 0.1 %", "under 0.1 %", "0.31 %", "12 %", "100 %")
    ]
    assert part(math.nan) == in_words(math.nan) == "–"
