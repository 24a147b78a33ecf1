"""One run of a program under one allocator: started, watched, measured, put into a record."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from mtbench.errors import MtbenchError
from mtbench.machine import fate, procfs, readings
from mtbench.mallocs.allocators import Allocator, worker_environment
from mtbench.plan.plan import Trial
from mtbench.plan.program import Program
from mtbench.runs.record import SCHEMA, Around, Identity, Record, Status, sound
from mtbench.runs.result import ProgramUse, Result
from mtbench.trial import signals
from mtbench.trial.isolate import TAIL_BYTES, die_with_parent
from mtbench.trial.proctree import Tree, end_orphans

STOP_S = 10.0
READY_S = 60.0
_AHEAD_S = 2.0
"""How long --ready has to fail while there is no server yet."""
_ATTEMPTS = 3
"""How often a run is made that was stopped and continued each time."""
_OUTPUT_BYTES = 8 << 20
"""How much of the end of the output is searched for numbers."""


class _RunError(Exception):
    """A run that gave no number: status and reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ProgramTrial:
    """Runs a program under the allocators of one plan."""

    def __init__(self, task: Program, chosen: Mapping[str, Allocator]) -> None:
        self._task = task
        self._chosen = chosen
        self._kills = fate.kills()

    def record(self, trial: Trial) -> Record:
        """Run once; whatever becomes of the program, a record comes back. A run that was stopped
        and continued is made again: its times would count the pause.

        Raises MtbenchError if --prepare fails or the program cannot be started.
        """
        for attempt in range(_ATTEMPTS):
            before, continued = procfs.present(), signals.times_continued()
            try:
                record, paused = self._once(trial, attempt)
            finally:
                end_orphans(before)
            if not paused and signals.times_continued() == continued:
                return record
        return record.failed(
            Status.ERROR,
            f"stopped and continued in each of {_ATTEMPTS} attempts, so that its times count a "
            "pause",
        )

    def plain(self) -> str | None:
        """Run the program once without any preloaded library: how it ended, None if well. For
        programs that no malloc could serve, to tell whose fault it is."""
        nobody = Allocator("none", "system", None)
        before, found = procfs.present(), _Found()
        self._kills = fate.kills()
        try:
            if self._task.prepare:
                shell("--prepare", self._task.prepare, self._task.timeout)
            self._served(nobody, found) if self._task.client else self._run(nobody, found)
        except _RunError as failure:
            return str(failure)
        finally:
            end_orphans(before)
        return None

    def _once(self, trial: Trial, attempt: int) -> tuple[Record, bool]:
        """The record of one attempt, and whether the program was stopped and continued."""
        chosen = self._chosen[trial.cell.allocator]
        if self._task.prepare:
            more = {"MTBENCH_ALLOCATOR": chosen.label}
            shell("--prepare", self._task.prepare, self._task.timeout, more)
        load, runnable = readings.load()
        steal = readings.steal_s()
        started = time.time()
        found = _Found()
        self._kills = fate.kills()
        status, reason, result = Status.OK, None, None
        try:
            result = self._served(chosen, found) if self._task.client else self._run(chosen, found)
        except _RunError as failure:
            status, reason = failure.status, str(failure)
        record = Record(
            schema=SCHEMA,
            order=trial.order,
            block=trial.block,
            allocator=trial.cell.allocator,
            workload=trial.cell.workload,
            threads=trial.cell.threads,
            status=status,
            reason=reason,
            signal=found.signal,
            exit_code=found.exit_code,
            stderr_tail=found.words,
            thread_states=found.states,
            started=round(started, 3),
            wall_s=round(found.wall_s, 6),
            identity=msgspec.structs.replace(
                found.proof, path=chosen.path, sha256=chosen.sha256, version=chosen.version
            ),
            result=result,
            machine=Around(
                load1=load,
                runnable_before=runnable,
                runnable_after=readings.load()[1],
                steal_s=round(readings.steal_s() - steal, 2),
                stopped=attempt,
            ),
        )
        return sound(record), found.stopped

    def _run(self, chosen: Allocator, found: _Found) -> Result:
        with _Output(keep=bool(self._task.numbers)) as output:
            tree = _start(self._task.command, worker_environment(chosen), output, chosen.path or "")
            try:
                ended = tree.wait(self._task.timeout)
                if not ended:
                    found.states = list(tree.states())
            finally:
                tree.end()
            self._note(found, tree, output)
            if not ended:
                raise _RunError(Status.TIMEOUT, f"no end after {self._task.timeout:g} s")
            self._judge_exit(tree.status, "")
            if wrong := tree.disproof():
                raise _RunError(Status.MISMATCH, wrong)
            return self._result(tree, tree.usage().wall_s, output.text())

    def _served(self, chosen: Allocator, found: _Found) -> Result:
        """The server under the allocator; the client, timed, under the system's malloc."""
        sure = not self._task.ready or self._is_ready(_AHEAD_S) is False
        with _Output(keep=False) as said, _Output(keep=True) as output:
            environment = worker_environment(chosen)
            server = _start(self._task.command, environment, said, chosen.path or "", server=True)
            try:
                self._await_ready(server, found, said, sure=sure)
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
            found.stopped |= client.stopped
            found.wall_s = wall
            if not ended:
                raise _RunError(
                    Status.TIMEOUT, f"the client did not end after {self._task.timeout:g} s"
                )
            if not lived:
                raise _RunError(
                    Status.CRASH, f"the server ended early: {self._fate(server.status)}"
                )
            found.words = found.words or output.words()
            self._judge_exit(client.status, "the client ")
            if wrong := server.disproof():
                raise _RunError(Status.MISMATCH, wrong)
            return self._result(server, wall, output.text(), stopped_itself=stopped)

    def _await_ready(self, server: Tree, found: _Found, said: _Output, *, sure: bool) -> None:
        """Until --ready succeeds, or the server listens. sure: --ready failed while there was no
        server; else it may be answered by another one, and this one has to listen itself."""
        bound = min(self._task.timeout, READY_S)
        deadline = time.monotonic() + bound
        answered = False
        while True:
            if server.wait(0.02):
                server.end()
                self._note(found, server, said)
                reason = f"the server ended at once: {self._fate(server.status)}"
                if server.status == 0:
                    reason += "; accepted: a server that stays in the foreground"
                elif last := said.words().strip().splitlines()[-1:]:
                    reason += f": {last[0][:200]}"
                raise _RunError(Status.CRASH, reason)
            left = deadline - time.monotonic()
            ready = not self._task.ready or self._is_ready(max(left, _AHEAD_S))
            answered |= ready is True
            listens = procfs.listen(server.seen)
            if ready and (listens or (sure and self._task.ready)) and server.alive():
                return
            if left <= 0:
                if self._task.ready and answered:
                    raise self._another_answers()
                raise self._not_ready(bound)

    def _is_ready(self, timeout_s: float) -> bool | None:
        """Whether --ready succeeds; None if it does not end in time."""
        status, _ = _shell(self._task.ready, timeout_s, {}, keep=False)
        return None if status is None else status == 0

    def _another_answers(self) -> _RunError:
        return _RunError(
            Status.ERROR,
            f"--ready '{self._task.ready}' succeeds, but the server itself listens nowhere: "
            "another may be answering; accepted: a port of its own, and a --ready that fails "
            "while there is no server",
        )

    def _not_ready(self, bound: float) -> _RunError:
        if self._task.ready:
            reason = f"--ready '{self._task.ready}' did not succeed within {bound:g} s"
            return _RunError(Status.TIMEOUT, reason)
        reason = f"the server does not listen after {bound:g} s; accepted: --ready COMMAND"
        return _RunError(Status.TIMEOUT, reason)

    def _note(self, found: _Found, tree: Tree, output: _Output) -> None:
        usage = tree.usage()
        found.wall_s = usage.wall_s
        found.exit_code = tree.status if tree.status >= 0 else None
        found.signal = fate.signal_name(tree.status)
        found.words = output.words()
        found.proof = tree.proof()
        found.stopped |= tree.stopped

    def _judge_exit(self, status: int, who: str) -> None:
        if status < 0:
            raise _RunError(Status.CRASH, f"{who}{self._fate(status)}")
        if self._task.codes and status not in self._task.codes:
            reason = f"{who}{self._fate(status)} (--ignore-exit-code takes any)"
            raise _RunError(Status.ERROR, reason)

    def _fate(self, status: int) -> str:
        return fate.words(status, self._kills)

    def _result(
        self, tree: Tree, wall_s: float, text: str, *, stopped_itself: bool | None = None
    ) -> Result:
        """The record's result in a sweep's terms, with the program's own measures beside it.

        The first number asked for is the rate that comparisons use, inverted where less is
        better; without one it is runs per second.
        """
        try:
            numbers = {wanted.name: wanted.find(text) for wanted in self._task.numbers}
        except ValueError as error:
            raise _RunError(Status.ERROR, str(error)) from None
        operations, elapsed = 1.0, wall_s
        if self._task.numbers:
            first = numbers[self._task.numbers[0].name]
            if not 1e-300 < first < 1e300:
                reason = f"{self._task.numbers[0].name} is {first:g}; accepted: 1e-300 to 1e300"
                raise _RunError(Status.ERROR, reason)
            operations, elapsed = first, 1.0
            if self._task.numbers[0].lower:
                operations, elapsed = 1.0, first
        used = {**tree.usage().to_json(), "wall_s": round(wall_s, 6)}
        usage = ProgramUse(**used, numbers=numbers, stopped_itself=stopped_itself)
        return Result(operations, elapsed, threads=1, progressed=1, program=usage)


@dataclass
class _Found:
    """What is known of a run while it goes on."""

    wall_s: float = 0.0
    words: str = ""
    exit_code: int | None = None
    signal: str | None = None
    states: list[str] = field(default_factory=list)
    proof: Identity = field(default_factory=Identity)
    stopped: bool = False


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
    before = procfs.present()
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
    if expect:
        # If memory runs out Linux is to take the program, and neither mtbench nor others.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
    return Tree(process, expect, started, before)


def shell(option: str, text: str, timeout_s: float, more: Mapping[str, str] | None = None) -> None:
    """Run a command around the trials, under the system's malloc. What it puts into the background
    stays. Raises MtbenchError if it fails or does not end in time."""
    before = fate.kills()
    status, last = _shell(text, timeout_s, more or {}, keep=True)
    if status is None:
        raise MtbenchError(
            f"{option} '{text}' did not end within {timeout_s:g} s; accepted: a command that ends, "
            "'COMMAND &' for one that is to go on, or a longer --timeout"
        )
    if status != 0:
        raise MtbenchError(
            f"{option} '{text}' failed ({fate.words(status, before)})"
            + (f": {last}" if last else "")
        )


def _shell(
    text: str, timeout_s: float, more: Mapping[str, str], *, keep: bool
) -> tuple[int | None, str]:
    """Exit status of a shell command, None if it had to be ended, and its last line on stderr.
    keep: what it leaves in the background goes on; else it ends too."""
    environment = worker_environment(Allocator("shell", "system", None)) | dict(more)
    with _Output(keep=False) as said:
        tree = _start(("sh", "-c", text), environment, said, "")
        ended = False
        try:
            ended = tree.wait(timeout_s)
        finally:
            if not ended or not keep:
                tree.end()
        last = said.words().strip().splitlines()[-1:]
    return (tree.status if ended else None), (last[0] if last else "")
