"""One run of a program: which of its processes are proven, what it leaves, what is no number."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtbench.errors import MtbenchError
from mtbench.machine import fate, procfs
from mtbench.mallocs import identity
from mtbench.mallocs.allocators import Allocator, resolve, worker_environment
from mtbench.plan.plan import Cell, Trial
from mtbench.programs.number import Number
from mtbench.programs.program import Program
from mtbench.runs.record import Record
from mtbench.trial import sighting
from mtbench.trial.proctree import Tree, adopting, end_orphans
from mtbench.trial.program import ProgramTrial
from mtbench.trial.sighting import Sighting
from mtbench.trial.starting import shell
from workloads.native import deepbind_library

Library = Callable[[str], Path]
HAKMEM = resolve("hakmem")
ONCE = str(time.time_ns() % 10**7 + 10**7)
"""Tells the sleepers of this process of tests from those of others."""
BURN = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture(autouse=True)
def adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `mtbench exec` runs them, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with adopting():
        yield


def record(*command: str, **more: Any) -> Record:
    """The record of one run under hakmem."""
    task = Program("it", command, **more)
    return ProgramTrial({"it": task}, {"hakmem": HAKMEM}).record(
        Trial(0, 0, Cell("hakmem", "it", 1))
    )


def sh(text: str, **more: Any) -> Record:
    return record("sh", "-c", text, **more)


def why(found: Record) -> str:
    assert found.reason is not None
    return found.reason


def left(found: Record) -> list[str]:
    assert found.identity is not None
    return found.identity.left


def alive(seconds: str) -> list[int]:
    """Processes that sleep so long."""
    wanted = f"sleep\0{seconds}\0".encode()
    return [pid for pid in procfs.present() if _command(pid) == wanted]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_statically_linked_child_is_named(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "s.c").write_text("void _start(void) { for (;;) ; }\n")
    flags = ["-static", "-nostdlib", "-ffreestanding", "-o", "stiff"]
    subprocess.run([compiler, *flags, "s.c"], check=True)
    found = sh("./stiff & sleep 0.5; kill $!")
    assert found.status == "mismatch"
    assert "process 'stiff' runs without" in why(found)
    assert "it is statically linked" in why(found)
    found = record("./stiff", timeout=1.0)
    assert "before its malloc could be seen" not in why(found)


def test_a_child_without_the_environment_is_named() -> None:
    found = sh("env -i sleep 0.5; sleep 0.4")
    assert found.status == "mismatch"
    assert "process 'sleep' runs without" in why(found)
    assert "LD_PRELOAD is gone from its environment" in why(found)


def test_a_child_without_it_is_named_where_libc_itself_is_preloaded() -> None:
    system = {"system": Allocator("system", "system", identity.where("gnu_get_libc_version"))}
    task = Program("it", ("sh", "-c", f"env -i sleep {ONCE}7 & sleep 0.4"))
    found = ProgramTrial({"it": task}, system).record(Trial(0, 0, Cell("system", "it", 1)))
    assert "process 'sleep' runs without" in why(found)
    assert "LD_PRELOAD is gone from its environment" in why(found)


@pytest.mark.parametrize(("later", "state"), [([b"LD_PRELOAD=/x"], "unseen"), ([], "unserved")])
def test_an_environment_that_was_empty_for_a_moment_says_nothing(
    monkeypatch: pytest.MonkeyPatch, later: list[bytes], state: str
) -> None:
    reads = iter([[], later])
    monkeypatch.setattr(sighting, "_preloads", lambda _: next(reads))
    seen = Sighting()
    seen.judge(os.getpid(), "/x", ())
    assert seen.state == state


def test_a_child_that_puts_itself_into_the_background_is_judged_too() -> None:
    found = sh(f"(setsid env -i sleep {ONCE}1 &); sleep 1")
    assert found.status == "mismatch" and "'sleep' runs without" in why(found)
    assert alive(f"{ONCE}1") == []


def test_what_a_program_leaves_running_is_ended_and_told() -> None:
    found = sh(f"setsid sleep {ONCE}2 & sleep 1")
    assert found.status == "ok" and left(found) == ["sleep"]
    assert alive(f"{ONCE}2") == []
    assert left(sh("sleep 0.4")) == []


def test_a_run_spent_in_children_that_nobody_saw_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody is found beside the program itself, as if each child had ended between two looks.
    monkeypatch.setattr(procfs, "present", lambda: frozenset({os.getpid()}))
    code = f"import subprocess; subprocess.run([{sys.executable!r}, '-S', '-c', {BURN!r}])"
    found = record(sys.executable, "-S", "-c", code)
    assert found.status == "mismatch"
    assert "in children that ended before their malloc could be seen" in why(found)
    monkeypatch.undo()
    assert record(sys.executable, "-S", "-c", code).status == "ok"


def judged(
    preload: str, served: set[tuple[str, ...]], code: str = "", *, ours: bool = False
) -> tuple[str, str]:
    """State and reason of a process that preloads so, once the loader is done and it has run
    `code`; the image is its own where `served` holds one."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", f"{code}\nprint(flush=True); input()"],
        env=worker_environment(Allocator("it", "system", None)) | {"LD_PRELOAD": preload},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stat = procfs.stat(process.pid)
        assert stat is not None
        seen = Sighting(image=stat.image)
        seen.judge(process.pid, str(HAKMEM.path), {stat.image} if served else set(), ours=ours)
        process.kill()
    return seen.state, seen.why


def test_only_the_first_preloaded_library_serves(library: Library) -> None:
    other = library("good")
    assert judged(f"{HAKMEM.path}:{other}", set()) == ("served", "")
    ours = deepbind_library()
    assert judged(f"{ours} {HAKMEM.path} {other}", set()) == ("served", "")
    for first in (other, f"{ours} {other}", f"{ours} {ours}"):
        assert judged(f"{first} {HAKMEM.path}", set())[0] == "unserved"
    state, why = judged(f"{other}:{HAKMEM.path}", set())
    assert state == "unserved" and "does not name that library first" in why
    assert judged(f"{other}:{HAKMEM.path}", set(), ours=True)[0] == "unserved"


WIPE = (
    "import ctypes\n"
    "e = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), 'environ')\n"
    "i = 0\n"
    "while e[i]:\n"
    "    ctypes.memset(e[i], 0, len(ctypes.string_at(e[i]))); i += 1\n"
)
"""Servers write their titles over their environment."""


def test_a_fork_is_believed_its_parents_environment() -> None:
    assert judged(str(HAKMEM.path), {()}, WIPE) == ("served", "")
    assert judged(str(HAKMEM.path), set(), WIPE)[0] == "unserved"


def test_a_program_is_believed_the_environment_that_it_was_started_with() -> None:
    assert judged(str(HAKMEM.path), set(), WIPE, ours=True) == ("served", "")
    assert judged("", set(), WIPE, ours=True)[0] == "unserved"


def test_a_program_that_has_written_over_its_environment_before_a_look_is_proven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def looked_at_late(tree: Tree, timeout_s: float) -> bool:
        while not Path("wiped").exists():
            time.sleep(0.01)
        return whole(tree, timeout_s)

    whole = Tree.wait
    monkeypatch.setattr(Tree, "wait", looked_at_late)
    late = f"{WIPE}open('wiped', 'w').close()\nimport time; time.sleep(1)"
    assert record(sys.executable, "-S", "-c", late).status == "ok"


def test_a_fork_seen_once_and_gone_is_no_proof() -> None:
    seen = Sighting(state="served", fork=True)
    seen.ran(0.001, time.monotonic())
    seen.went()
    assert seen.state == "unseen"
    worker = Sighting(state="served", fork=True)
    for _ in range(2):
        worker.ran(0.001, time.monotonic())
    worker.went()
    assert worker.state == "served"


@pytest.mark.parametrize("check", ["stdout", "cat told"])
def test_a_program_that_never_writes_the_same_twice_blames_no_malloc(check: str) -> None:
    task = Program(
        "it",
        ("sh", "-c", "date +%N | tee told; sleep 0.4"),
        prepare="echo $MTBENCH_ALLOCATOR >> log",
        check=check,
    )
    trial = ProgramTrial({"it": task}, {"hakmem": HAKMEM})
    for block in (0, 1):
        found = trial.record(Trial(block, block, Cell("hakmem", "it", 1)))
        assert (found.status, found.result) == ("violation", None)
        assert "nor is it the same in two runs without one" in why(found)
        assert why(found).endswith("accepted: a check of the part that stays (--check COMMAND)")
    # Asked again once, not for every run.
    assert Path("log").read_text().split() == ["none", "hakmem", "none", "hakmem"]


def test_a_malloc_under_which_alone_a_program_writes_something_else_is_blamed() -> None:
    text = "case $LD_PRELOAD in *hakmem*) echo 1;; *) echo 0;; esac; sleep 0.4"
    found = sh(text, check="stdout")
    assert found.status == "violation"
    assert why(found) == "its output is not that of a run without a preloaded malloc"


STOP = "(while sleep 0.1; do kill -CONT $$; done) & kill -STOP $$"
"""Stops the shell. It is told to go on again and again, for it may be told before it stops."""


def test_a_run_that_was_stopped_is_made_again() -> None:
    found = sh(f"test -e stopped || {{ touch stopped; {STOP}; }}; sleep 0.7")
    assert found.status == "ok", found.reason
    assert found.machine is not None and found.machine.stopped == 1


def test_a_run_that_is_always_stopped_is_no_number() -> None:
    found = sh(f"{STOP}; sleep 0.7")
    assert found.status == "error" and found.result is None
    assert "stopped and continued in each of 3 attempts" in why(found)


def test_a_command_around_the_runs_may_leave_a_process_but_not_hang() -> None:
    before = procfs.present()
    shell("--prepare", f"sleep {ONCE}3 & echo words >&2", 300.0)
    assert procfs.children(before)
    end_orphans(before)
    assert alive(f"{ONCE}3") == []
    with pytest.raises(MtbenchError, match=rf"--setup 'sleep {ONCE}4' did not end within 0.2 s"):
        shell("--setup", f"sleep {ONCE}4", 0.2)
    assert alive(f"{ONCE}4") == []


def test_what_prepare_leaves_running_serves_its_run_and_ends_with_it() -> None:
    found = sh("kill -0 $(cat pid) && sleep 0.4", prepare=f"sleep {ONCE}5 & echo $! > pid")
    assert found.status == "ok", found.reason
    assert alive(f"{ONCE}5") == []


def served(server: str, ready: str, *, timeout: float = 60.0, **more: Any) -> Record:
    client = ("sh", "-c", "sleep 0.05")
    return record("sh", "-c", server, client=client, ready=ready, timeout=timeout, **more)


def test_a_server_that_does_not_listen_is_ready_when_it_makes_ready_succeed() -> None:
    found = served("touch mark; exec sleep 60", "test -e mark", prepare="rm -f mark")
    assert found.status == "ok", found.reason


def test_another_server_on_the_port_is_not_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ask = f"import socket; socket.create_connection(('127.0.0.1', {other.getsockname()[1]}))"
        found = served("exec sleep 60", f'{sys.executable} -S -c "{ask}"', timeout=2.0)
    assert found.status == "error"
    assert "the server itself listens nowhere: another may be answering" in why(found)


def test_a_ready_that_hangs_is_ended_and_named() -> None:
    found = served("exec sleep 60", f"sleep {ONCE}6", timeout=1.0)
    assert found.status == "timeout"
    assert f"--ready 'sleep {ONCE}6' did not succeed within 1 s" in why(found)
    assert alive(f"{ONCE}6") == []


def test_a_server_that_leaves_the_foreground_is_told_so_and_ended() -> None:
    found = served(f"setsid sleep {ONCE}7 &", "")
    assert found.status == "crash"
    assert "accepted: a server that stays in the foreground" in why(found)
    assert alive(f"{ONCE}7") == []


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e400", "0", "1,5", "-3", "1_000", "1e-310"]
)
def test_what_is_no_rate_is_a_failure_and_never_a_number(text: str) -> None:
    found = sh(f"sleep 0.4; echo x={text}", numbers=(Number("x", r"x=(\S+)"),))
    assert found.status == "error" and found.result is None
    assert text in why(found) or "x is" in why(found)


def test_a_kill_that_nobody_here_sent_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nor Linux's out-of-memory killer sent" in why(sh("sleep 0.4; kill -9 $$"))
    before = fate.Kills(4, 1)
    monkeypatch.setattr(fate, "kills", lambda: fate.Kills(6, 3))
    assert "ended 2 processes in this control group" in fate.words(-9, before)
    monkeypatch.setattr(fate, "kills", lambda: fate.Kills(5, 1))
    assert "ended 1 process on this machine" in fate.words(-9, before)
    assert fate.words(137, before).startswith("exit code 137, which tells of a command killed by")
    monkeypatch.setattr(fate, "kills", lambda: fate.Kills(None, None))
    assert "often Linux's out-of-memory killer" in fate.words(-9, before)
    assert fate.words(-11, before) == "killed by SIGSEGV"
    assert fate.words(3, before) == "exit code 3"


def test_the_cpu_time_of_a_process_is_read_from_outside() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", BURN]) as process:
        tree = Tree(process, "", time.monotonic(), procfs.present())
        assert tree.wait(60)
        tree.end()
    assert tree.unseen_s < 0.1 < 0.3 <= tree.usage().user_s + tree.usage().system_s
