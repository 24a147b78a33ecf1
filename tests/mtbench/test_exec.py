"""Whole programs under each allocator: every run proven, nothing of it left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PYTHON = sys.executable
NAP = "import time; time.sleep(0.3)"
QUIET = ("--no-progress", "-o", "run")


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def test_each_run_is_proven_and_the_report_and_compare_take_it(
    command: Command, tmp_path: Path
) -> None:
    done = command("exec", "-a", "system,hakmem", "-n", 3, *QUIET, "--", PYTHON, "-S", "-c", NAP)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    found = records(run)
    assert sorted((r["block"], r["allocator"]) for r in found) == [
        (block, label) for block in range(3) for label in ("hakmem", "system")
    ]
    for entry in found:
        identity, used = entry["identity"], entry["result"]["program"]
        assert entry["status"] == "ok" and identity["proven"] == identity["processes"] == 1
        assert ("libhakmem" in identity["path"]) == (entry["allocator"] == "hakmem")
        assert used["wall_s"] >= 0.3 and used["rss_peak"] > 1 << 20
        assert used["user_s"] + used["system_s"] > 0 and used["minor_faults"] > 0
    page = (run / "report.html").read_text()
    assert "The program under each allocator" in page and "time.sleep(0.3)" in page
    assert (run / "figures" / "programs.svg").exists()
    summary = (run / "summary.csv").read_text().splitlines()
    assert summary[0].startswith("allocator,program") and len(summary) == 3
    same = command("compare", "run", "run")
    assert same.returncode == 0 and "no difference seen" in same.stdout
    text = command("report", "run", "--markdown").stdout
    assert "| hakmem |" in text and "Peak memory" in text


def test_a_run_is_proven_where_the_library_lies_at_a_path_with_spaces(
    command: Command, tmp_path: Path, library: Callable[[str], Path]
) -> None:
    path = tmp_path / "my ü: mallocs" / "libgood.so"
    path.parent.mkdir()
    shutil.copy(library("good"), path)
    done = command("exec", "-a", f"good={path}", "-n", 1, *QUIET, "--", PYTHON, "-S", "-c", NAP)
    assert done.returncode == 0, done.stderr
    assert records(tmp_path / "run")[0]["identity"]["path"] == str(path)


def test_a_child_without_the_library_fails_the_run(command: Command, tmp_path: Path) -> None:
    long = "import time; time.sleep(1)"
    child = f"import subprocess; subprocess.run(['{PYTHON}', '-S', '-c', '{long}'], env={{}})"
    done = command("exec", "-a", "hakmem", "-n", 1, *QUIET, "--", PYTHON, "-S", "-c", child)
    assert done.returncode == 4
    (entry,) = records(tmp_path / "run")
    assert entry["status"] == "mismatch" and "runs without" in entry["reason"]
    assert entry["result"] is None


def test_a_child_is_judged_again_after_it_executes(command: Command, tmp_path: Path) -> None:
    nap = "import time; time.sleep(0.5)"
    child = (
        "import os, time\nif os.fork():\n    os.wait()\nelse:\n    time.sleep(0.5)\n"
        f"    os.execve('{PYTHON}', ['{PYTHON}', '-S', '-c', '{nap}'], {{}})"
    )
    done = command("exec", "-a", "hakmem", "-n", 1, *QUIET, "--", PYTHON, "-S", "-c", child)
    assert done.returncode == 4
    (entry,) = records(tmp_path / "run")
    assert entry["status"] == "mismatch" and "runs without" in entry["reason"]


def test_memory_and_proof_cover_the_children(command: Command, tmp_path: Path) -> None:
    hold = "b = bytearray(60 << 20); import time; time.sleep(1)"
    parent = f"import subprocess; subprocess.run(['{PYTHON}', '-S', '-c', '{hold}']); "
    code = f"b = bytearray(60 << 20); {parent}"
    done = command("exec", "-a", "hakmem", "-n", 1, *QUIET, "--", PYTHON, "-S", "-c", code)
    assert done.returncode == 0, done.stderr
    (entry,) = records(tmp_path / "run")
    assert entry["identity"]["processes"] == entry["identity"]["proven"] == 2
    assert entry["result"]["program"]["rss_peak"] > 120 << 20


SERVER = """
import os, socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
open("port", "w").write(str(s.getsockname()[1]))
s.listen()
while True:
    c, _ = s.accept()
    c.sendall(os.environ.get("LD_PRELOAD", "none").encode())
    c.close()
"""
CLIENT = """
import os, socket
c = socket.create_connection(("127.0.0.1", int(open("port").read())))
print("server", c.recv(999).decode(), "client", os.environ.get("LD_PRELOAD", "none"))
print("1,234.5 requests per second")
"""


def test_a_server_runs_under_the_allocator_and_its_client_does_not(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    done = command(
        "exec",
        *("-a", "system,hakmem", "-n", 2, "--prepare", "rm -f port"),
        *("--server", f"{PYTHON} -S server.py", "--client", f"{PYTHON} -S client.py"),
        *("--metric", r"requests/s=([\d.,]+) requests", "--metric", "clean=client none()|$^"),
        *QUIET,
    )
    assert done.returncode == 4, "a group that never holds a number is a failure"
    done = command(
        "exec",
        *("-a", "system,hakmem", "-n", 2, "--prepare", "rm -f port", "--json"),
        *("--server", f"{PYTHON} -S server.py"),
        *("--client", f"{PYTHON} -S client.py"),
        *("--metric", r"requests/s=([\d.,]+) requests", "--no-progress", "-o", "good"),
    )
    assert done.returncode == 0, done.stderr
    for cell in json.loads(done.stdout)["cells"]:
        assert cell["measures"]["requests/s"][0] == 1234.5
    assert {r["result"]["operations"] for r in records(tmp_path / "good")} == {1234.5}
    (tmp_path / "client.py").write_text(CLIENT + "assert False\n")
    done = command(
        "exec",
        *("-a", "hakmem", "-n", 1, "--server", f"{PYTHON} -S server.py"),
        *("--client", f"{PYTHON} -S client.py", "--no-progress", "-o", "bad"),
    )
    assert done.returncode == 4
    assert "the client exit code 1" in records(tmp_path / "bad")[0]["reason"]


def test_setup_prepare_and_cleanup_run_as_often_as_they_say(
    command: Command, tmp_path: Path
) -> None:
    done = command(
        *("exec", "-a", "system,hakmem", "-n", 2, *QUIET),
        *("--setup", "echo s >> log", "--prepare", "echo $MTBENCH_ALLOCATOR >> log"),
        *("--cleanup", "echo c >> log", "--", PYTHON, "-S", "-c", NAP),
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text().split()
    assert log[0] == "s" and log[-1] == "c"
    assert sorted(log[1:-1]) == ["hakmem", "hakmem", "system", "system", "tally"]
    failing = command("exec", "-a", "system", "--prepare", "exit 7", "-o", "b", "--", PYTHON)
    assert failing.returncode == 1
    assert "--prepare 'exit 7' failed (exit code 7)" in failing.stderr


def test_exit_codes_fail_a_run_unless_ignored(command: Command) -> None:
    code = f"{NAP}; raise SystemExit(3)"
    words = ("--", PYTHON, "-S", "-c", code)
    done = command("exec", "-a", "system", "-n", 1, "--no-progress", "-o", "a", *words)
    assert done.returncode == 4 and "exit code 3" in done.stderr
    done = command(
        "exec", "-a", "system", "-n", 1, "--ignore-exit-code", "--no-progress", "-o", "b", *words
    )
    assert done.returncode == 0, done.stderr


def test_a_timeout_ends_the_whole_tree(command: Command, tmp_path: Path) -> None:
    mark = f"{time.time_ns() % 10**7 + 10**7}"
    code = f"import subprocess; subprocess.run(['sleep', '{mark}'])"
    done = command(
        *("exec", "-a", "system", "-n", 1, "--timeout", 1, *QUIET, "--"),
        *(PYTHON, "-S", "-c", code),
    )
    assert done.returncode == 4
    (entry,) = records(tmp_path / "run")
    assert entry["status"] == "timeout" and entry["thread_states"]
    left = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and mark.encode() in _read(path)
    ]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_run_is_resumed_without_repeating(command: Command, tmp_path: Path) -> None:
    words = ("--", PYTHON, "-S", "-c", NAP)
    assert command("exec", "-a", "system,hakmem", "-n", 2, *QUIET, *words).returncode == 0
    trials = tmp_path / "run" / "trials.jsonl"
    kept = trials.read_text().splitlines()[:2]
    trials.write_text("\n".join(kept) + '\n{"torn')
    done = command("exec", "--resume", "run", "--no-progress")
    assert done.returncode == 0, done.stderr
    assert trials.read_text().splitlines()[:2] == kept
    assert len({(r["block"], r["allocator"]) for r in records(tmp_path / "run")}) == 4
    refused = command("sweep", "--resume", "run")
    assert refused.returncode == 2 and "mtbench exec --resume" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "exec needs one program"),
        (("--metric", "wall_s=(.)", "--", "true"), "there is a 'wall_s' already"),
        (("--server", "a"), "--server and --client go together"),
        (("--", "no-such-program"), "no program 'no-such-program' here"),
        (("--metric", "abc", "--", "true"), "has no group around the number"),
        (("--metric", "(", "--", "true"), "is no regular expression"),
        (("-a", "nonsense", "--", "true"), "unknown allocator 'nonsense'"),
        (("--resume", "nowhere"), "nowhere is no run directory"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = command("exec", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_static_program_is_refused(command: Command, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, target = tmp_path / "s.c", tmp_path / "static"
    source.write_text("void _start(void) { for (;;) ; }\n")
    flags = ["-static", "-nostdlib", "-ffreestanding", "-o", str(target)]
    subprocess.run([compiler, *flags, str(source)], check=True)
    done = command("exec", "--", target)
    assert done.returncode == 2 and "statically linked" in done.stderr


def started(tmp_path: Path, **more: Any) -> subprocess.Popen[bytes]:
    """`mtbench exec` of a program that leaves one in the background whose name is this folder,
    once a run of it is on the disk."""
    (tmp_path / "left.py").write_text("import time; time.sleep(600)")
    daemon = (
        f"import subprocess\nsubprocess.Popen(['setsid', '{PYTHON}', '-S', '{tmp_path}/left.py'])\n"
    )
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mtbench", "exec", "-a", "system", "-n", "400", "-o", "run"),
            *("--cleanup", "echo c >> log", "--", PYTHON, "-S", "-c", daemon + NAP),
        ],
        cwd=tmp_path,
        start_new_session=True,
        **more,
    )
    trials = tmp_path / "run" / "trials.jsonl"
    deadline = time.monotonic() + 300
    while not (trials.exists() and b"\n" in trials.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def kept(tmp_path: Path) -> None:
    """What is promised of a run that was ended from outside."""
    assert 1 <= len(records(tmp_path / "run")) < 400
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "log").read_text().split() == ["c"]
    mine = str(tmp_path / "left.py").encode()
    assert not any(mine in _read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_keeps_reports_and_cleans_up(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = started(
        tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever started the tests may have had them ignored.
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in (number, signal.SIGINT)],
    )
    process.send_signal(number)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 128 + number, complaint
    assert b"exec --resume run" in complaint and b"Traceback" not in complaint
    kept(tmp_path)


def test_a_terminal_that_closes_costs_nothing_that_was_measured(tmp_path: Path) -> None:
    ours, theirs = os.openpty()

    def controlled() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = started(tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=controlled)
    os.close(theirs)
    os.close(ours)
    assert process.wait(timeout=300) == 128 + signal.SIGHUP
    kept(tmp_path)


def test_under_nohup_a_closed_terminal_changes_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mtbench", "exec", "-a", "system", "-n", "2", *QUIET),
            *("--prepare", "kill -HUP $PPID", "--", PYTHON, "-S", "-c", NAP),
        ],
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert process.wait(timeout=300) == 0
    assert len(records(tmp_path / "run")) == 2


def test_a_failing_cleanup_loses_no_report(command: Command, tmp_path: Path) -> None:
    words = ("--", PYTHON, "-S", "-c", NAP)
    done = command(
        "exec", "-a", "system", "-n", 1, *QUIET, "--cleanup", "echo oh >&2; false", *words
    )
    assert done.returncode == 1 and "failed (exit code 1): oh" in done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_a_program_that_takes_no_preloaded_malloc_is_told_why(command: Command) -> None:
    picky = 'sleep 0.4; case "$LD_PRELOAD" in *hakmem*) kill -SEGV $$ ;; esac'
    done = command("exec", "-a", "system,hakmem", "-n", 1, *QUIET, "--", "sh", "-c", picky)
    assert done.returncode == 4
    assert "dies by SIGSEGV under every preloaded malloc, and ends well without" in done.stdout
    assert "it links a malloc statically, or looks malloc up in the C library" in done.stdout
    dying = ("--", "sh", "-c", "sleep 0.4; kill -SEGV $$")
    done = command("exec", "-a", "hakmem", "-n", 1, "--no-progress", "-o", "b", *dying)
    assert "and fails without one too: killed by SIGSEGV" in done.stdout
