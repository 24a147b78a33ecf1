"""One run of a program under one allocator: started, watched, measured, put into a record."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from mtbench import machine
from mtbench.allocators import Allocator, worker_environment
from mtbench.errors import MtbenchError
from mtbench.isolate import TAIL_BYTES, die_with_parent
from mtbench.plan import Trial
from mtbench.proctree import Tree, present
from mtbench.program import Program
from mtbench.rundir import SCHEMA
from mtbench.shape import sound

STOP_S = 10.0
_OUTPUT_BYTES = 8 << 20
"""How much of the end of the output is searched for numbers."""


class _RunError(Exception):
    """A run that gave no number: status and reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ProgramTrial:
    """Runs a program under the allocators of one plan."""

    def __init__(self, task: Program, chosen: Mapping[str, Allocator]) -> None:
        self._task = task
        self._chosen = chosen

    def record(self, trial: Trial) -> dict[str, Any]:
        """Run once; whatever becomes of the program, a record comes back.

        Raises MtbenchError if --prepare fails or the program cannot be started.
        """
        chosen = self._chosen[trial.cell.allocator]
        if self._task.prepare:
            shell("--prepare", self._task.prepare, {"MTBENCH_ALLOCATOR": chosen.label})
        load, runnable = machine.load()
        steal = machine.steal_s()
        started = time.time()
        found: dict[str, Any] = {"wall_s": 0.0, "words": "", "exit_code": None, "signal": None}
        status, reason = "ok", None
        try:
            result = self._served(chosen, found) if self._task.client else self._run(chosen, found)
        except _RunError as failure:
            status, reason, result = failure.status, str(failure), None
        kept = {
            "schema": SCHEMA,
            "order": trial.order,
            "block": trial.block,
            "allocator": trial.cell.allocator,
            "workload": trial.cell.workload,
            "threads": trial.cell.threads,
            "status": status,
            "reason": reason,
            "signal": found["signal"],
            "exit_code": found["exit_code"],
            "stderr_tail": found["words"],
            "thread_states": found.get("states", []),
            "started": round(started, 3),
            "wall_s": round(found["wall_s"], 6),
            "identity": {
                "path": chosen.path,
                "sha256": chosen.sha256,
                "version": chosen.version,
                "config": None,
                **found.get("proof", {}),
            },
            "result": result,
            "allocator_stats": None,
            "machine": {
                "load1": load,
                "runnable_before": runnable,
                "runnable_after": machine.load()[1],
                "steal_s": round(machine.steal_s() - steal, 2),
            },
        }
        return sound(kept)

    def _run(self, chosen: Allocator, found: dict[str, Any]) -> dict[str, Any]:
        with _Output(keep=bool(self._task.numbers)) as output:
            tree = _start(self._task.command, worker_environment(chosen), output, chosen.path or "")
            try:
                ended = tree.wait(self._task.timeout)
                if not ended:
                    found["states"] = list(tree.states())
            finally:
                tree.end()
            self._note(found, tree, output)
            if not ended:
                raise _RunError("timeout", f"no end after {self._task.timeout:g} s")
            self._judge_exit(tree.status, "")
            if wrong := tree.disproof():
                raise _RunError("mismatch", wrong)
            return self._result(tree, tree.usage().wall_s, output.text())

    def _served(self, chosen: Allocator, found: dict[str, Any]) -> dict[str, Any]:
        """The server under the allocator; the client, timed, under the system's malloc."""
        with _Output(keep=False) as said, _Output(keep=True) as output:
            environment = worker_environment(chosen)
            server = _start(self._task.command, environment, said, chosen.path or "", server=True)
            try:
                self._await_ready(server, found, said)
                plain = worker_environment(Allocator("client", "system", None))
                client = _start(self._task.client, plain, output, "")
                try:
                    ended = client.wait(self._task.timeout)
                finally:
                    client.end()
                wall = client.usage().wall_s
                lived = server.alive()
                server.look()
                stopped = server.stop(STOP_S)
            finally:
                server.end()
            self._note(found, server, said)
            found["wall_s"] = wall
            if not ended:
                raise _RunError("timeout", f"the client did not end after {self._task.timeout:g} s")
            if not lived:
                raise _RunError("crash", f"the server ended early: {_fate(server.status)}")
            found["words"] = found["words"] or output.words()
            self._judge_exit(client.status, "the client ")
            if wrong := server.disproof():
                raise _RunError("mismatch", wrong)
            result = self._result(server, wall, output.text())
            result["program"]["stopped_itself"] = stopped
            return result

    def _await_ready(self, server: Tree, found: dict[str, Any], said: _Output) -> None:
        """Until --ready succeeds, or the server listens."""
        deadline = time.monotonic() + min(self._task.timeout, 60.0)
        while True:
            if server.wait(0.02):
                self._note(found, server, said)
                raise _RunError("crash", f"the server ended at once: {_fate(server.status)}")
            if self._task.ready:
                done = subprocess.run(
                    ["sh", "-c", self._task.ready],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                if done.returncode == 0:
                    return
            elif _listens(list(server.seen)):
                return
            if time.monotonic() > deadline:
                raise _RunError("timeout", "the server is not ready; accepted: --ready COMMAND")

    def _note(self, found: dict[str, Any], tree: Tree, output: _Output) -> None:
        usage = tree.usage()
        found["wall_s"] = usage.wall_s
        found["exit_code"] = tree.status if tree.status >= 0 else None
        found["signal"] = _fate(tree.status).removeprefix("killed by ") if tree.status < 0 else None
        found["words"] = output.words()
        found["proof"] = tree.proof()

    def _judge_exit(self, status: int, who: str) -> None:
        if status < 0:
            raise _RunError("crash", f"{who}{_fate(status)}")
        if self._task.codes and status not in self._task.codes:
            raise _RunError("error", f"{who}exit code {status} (--ignore-exit-code takes any)")

    def _result(self, tree: Tree, wall_s: float, text: str) -> dict[str, Any]:
        """The record's result in a sweep's terms, with the program's own measures beside it.

        The first number asked for is the rate that comparisons use, inverted where less is
        better; without one it is runs a second.
        """
        numbers: dict[str, float] = {}
        for wanted in self._task.numbers:
            value = wanted.find(text)
            if value is None:
                raise _RunError("error", f"no number for --metric '{wanted.pattern}' in the output")
            numbers[wanted.name] = value
        operations, elapsed = 1.0, wall_s
        if self._task.numbers:
            first = numbers[self._task.numbers[0].name]
            if first <= 0:
                raise _RunError("error", f"{self._task.numbers[0].name} is {first:g}, not above 0")
            operations, elapsed = first, 1.0
            if self._task.numbers[0].lower:
                operations, elapsed = 1.0, first
        usage = tree.usage()
        return {
            "operations": operations,
            "elapsed_s": elapsed,
            "threads": 1,
            "progressed": 1,
            "program": {**usage.to_json(), "wall_s": round(wall_s, 6), "numbers": numbers},
        }


class _Output:
    """Where a process writes. keep: its standard output too, else only its standard error."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self.out: IO[bytes] | int = subprocess.DEVNULL
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        if keep:
            self.out = tempfile.TemporaryFile()  # noqa: SIM115

    def text(self) -> str:
        """The end of both, for finding numbers."""
        kept = _end_of(self.out, _OUTPUT_BYTES) if not isinstance(self.out, int) else b""
        return (kept + b"\n" + _end_of(self.err, _OUTPUT_BYTES)).decode(errors="replace")

    def words(self) -> str:
        """The last words on standard error."""
        return _end_of(self.err, TAIL_BYTES).decode(errors="replace")

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self.err.close()
        if not isinstance(self.out, int):
            self.out.close()


def _end_of(file: IO[bytes], most: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), most, max(0, size - most))


def _start(
    words: tuple[str, ...],
    environment: dict[str, str],
    output: _Output,
    expect: str,
    *,
    server: bool = False,
) -> Tree:
    """Start a program as leader of its own session. A server ends with this process; a program
    would pay for that with a slower start. Raises MtbenchError."""
    before = present()
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output.out,
            stderr=output.err,
            start_new_session=True,
            preexec_fn=die_with_parent if server else None,
        )
    except OSError as error:
        raise MtbenchError(f"{words[0]} cannot be started: {error.strerror}") from error
    return Tree(process, expect, started, before)


def shell(option: str, text: str, more: Mapping[str, str] | None = None) -> None:
    """Run a command around the trials, under the system's malloc. Raises MtbenchError."""
    environment = worker_environment(Allocator("shell", "system", None)) | dict(more or {})
    done = subprocess.run(
        ["sh", "-c", text],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise MtbenchError(
            f"{option} '{text}' failed ({_fate(done.returncode)})"
            + (f": {last[0]}" if last else "")
        )


def _fate(status: int) -> str:
    import signal

    if status >= 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


def _listens(pids: list[int]) -> bool:
    """Whether any of the processes has a listening TCP or Unix socket."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        sockets.add(target[8:-1])
    for table, state, place, inode in (
        ("tcp", "0A", 3, 9),
        ("tcp6", "0A", 3, 9),
        ("unix", "01", 5, 6),
    ):
        for line in (machine.text(f"/proc/net/{table}") or "").splitlines()[1:]:
            fields = line.split()
            ours = len(fields) > inode and fields[inode] in sockets
            # A Unix socket also has state 01 while it is unconnected; flag 10000 is listening.
            if ours and fields[place] == state and (table != "unix" or fields[3] == "00010000"):
                return True
    return False
