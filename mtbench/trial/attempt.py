"""One attempt at a program under an allocator: what it used and wrote, or why it does not count."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from mtbench.base.table import bytes_
from mtbench.machine import fate, procfs
from mtbench.mallocs.allocators import Allocator, worker_environment
from mtbench.programs.entry import STDOUT
from mtbench.programs.program import Program
from mtbench.runs.record import Identity, Status
from mtbench.runs.result import ProgramUse, Result
from mtbench.trial.proctree import Tree
from mtbench.trial.starting import Output, answer, start, succeeds
from workloads.native import deepbind_library

STOP_S = 10.0
READY_S = 60.0
_AHEAD_S = 2.0
"""How long --ready has to fail while there is no server yet."""


class FailedError(Exception):
    """An attempt that gave no number: status and reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Found:
    """What is known of an attempt while it goes on."""

    wall_s: float = 0.0
    words: str = ""
    exit_code: int | None = None
    signal: str | None = None
    states: list[str] = field(default_factory=list)
    proof: Identity = field(default_factory=Identity)
    stopped: bool = False


class Attempt:
    """A program with its numbers in their places, once, in `folder` or here.

    expect: SHA-256 of what it has to write, "" for whatever it writes. found: filled in as it goes
    on, whatever becomes of it.
    """

    def __init__(self, task: Program, chosen: Allocator, folder: Path | None, expect: str) -> None:
        self.found = Found()
        self._task = task
        self._chosen = chosen
        self._folder = folder
        self._expect = expect
        self._kills = fate.kills()

    def result(self, threads: int) -> Result:
        """Run it. Raises FailedError, and MtbenchError if it cannot be started."""
        return self._served(threads) if self._task.client else self._run(threads)

    def _run(self, threads: int) -> Result:
        keep = bool(self._task.numbers) or self._task.check == STDOUT
        with Output(keep=keep) as output:
            tree = self._start(self._task.command, self._chosen, output, stdin=self._task.stdin)
            try:
                ended = tree.wait(self._task.timeout)
                if not ended:
                    self.found.states = list(tree.states())
            finally:
                tree.end()
            self._note(tree, output)
            if not ended:
                raise FailedError(Status.TIMEOUT, f"no end after {self._task.timeout:g} s")
            self._judge_size(tree)
            self._judge_exit(tree.status, "")
            if wrong := tree.disproof():
                raise FailedError(Status.MISMATCH, wrong)
            wrote = self._wrote(output)
            return self._result(tree, tree.usage().wall_s, output.text(), threads, wrote)

    def _served(self, threads: int) -> Result:
        """The server under the allocator; the client, timed, under the system's malloc."""
        sure = not self._task.ready or self._is_ready(_AHEAD_S) is False
        with Output(keep=False) as said, Output(keep=True) as output:
            server = self._start(self._task.command, self._chosen, said, server=True)
            wrote = ""
            try:
                self._await_ready(server, said, sure=sure)
                plain = Allocator("client", "system", None)
                client = self._start(self._task.client, plain, output)
                try:
                    ended = client.wait(self._task.timeout)
                finally:
                    client.end()
                wall = client.usage().wall_s
                lived = server.alive()
                if ended and lived:
                    wrote = self._wrote(output)
                server.look()
                stopped = server.stop(STOP_S)
            finally:
                server.end()
            self._note(server, said)
            self.found.stopped |= client.stopped
            self.found.wall_s = wall
            self._judge_size(server)
            if not ended:
                raise FailedError(
                    Status.TIMEOUT, f"the client did not end after {self._task.timeout:g} s"
                )
            if not lived:
                raise FailedError(
                    Status.CRASH, f"the server ended early: {self._fate(server.status)}"
                )
            self.found.words = self.found.words or output.words()
            self._judge_exit(client.status, "the client ")
            if wrong := server.disproof():
                raise FailedError(Status.MISMATCH, wrong)
            return self._result(server, wall, output.text(), threads, wrote, stopped_itself=stopped)

    def _start(
        self,
        words: tuple[str, ...],
        chosen: Allocator,
        output: Output,
        *,
        server: bool = False,
        stdin: str = "",
    ) -> Tree:
        beside = [str(deepbind_library())]
        environment = worker_environment(chosen, beside) | self._task.environment
        expect = chosen.path or ""
        tree = start(
            words, environment, output, expect, server=server, folder=self._folder, stdin=stdin
        )
        if chosen is self._chosen:
            tree.most = self._task.memory
        return tree

    def _await_ready(self, server: Tree, said: Output, *, sure: bool) -> None:
        """Until --ready succeeds, or the server listens. sure: --ready failed while there was no
        server; else it may be answered by another one, and this one has to listen itself."""
        bound = min(self._task.timeout, READY_S)
        deadline = time.monotonic() + bound
        answered = False
        while True:
            if server.wait(0.02):
                server.end()
                self._note(server, said)
                reason = f"the server ended at once: {self._fate(server.status)}"
                if server.status == 0:
                    reason += "; accepted: a server that stays in the foreground"
                elif last := said.words().strip().splitlines()[-1:]:
                    reason += f": {last[0][:200]}"
                raise FailedError(Status.CRASH, reason)
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
        return succeeds(self._task.ready, timeout_s, self._folder)

    def _another_answers(self) -> FailedError:
        return FailedError(
            Status.ERROR,
            f"--ready '{self._task.ready}' succeeds, but the server itself listens nowhere: "
            "another may be answering; accepted: a port of its own, and a --ready that fails "
            "while there is no server",
        )

    def _not_ready(self, bound: float) -> FailedError:
        if self._task.ready:
            reason = f"--ready '{self._task.ready}' did not succeed within {bound:g} s"
            return FailedError(Status.TIMEOUT, reason)
        reason = f"the server does not listen after {bound:g} s; accepted: --ready COMMAND"
        return FailedError(Status.TIMEOUT, reason)

    def _note(self, tree: Tree, output: Output) -> None:
        usage = tree.usage()
        self.found.wall_s = usage.wall_s
        self.found.exit_code = tree.status if tree.status >= 0 else None
        self.found.signal = fate.signal_name(tree.status)
        self.found.words = output.words()
        self.found.proof = tree.proof()
        self.found.stopped |= tree.stopped

    def _judge_size(self, tree: Tree) -> None:
        if tree.over:
            raise FailedError(
                Status.REFUSED,
                f"ended by mtbench: it held {bytes_(tree.over)}, more than --memory "
                f"{bytes_(self._task.memory)}",
            )

    def _judge_exit(self, status: int, who: str) -> None:
        if status < 0:
            raise FailedError(Status.CRASH, f"{who}{self._fate(status)}")
        if self._task.codes and status not in self._task.codes:
            reason = f"{who}{self._fate(status)} (--ignore-exit-code takes any)"
            raise FailedError(Status.ERROR, reason)

    def _fate(self, status: int) -> str:
        return fate.words(status, self._kills)

    def _wrote(self, output: Output) -> str:
        """SHA-256 of what has to be the same under every malloc; "" if nothing has."""
        if not self._task.check:
            return ""
        if self._task.check == STDOUT:
            wrote, wrong = output.digest(), ""
        else:
            more = self._task.environment
            wrote, wrong = answer(self._task.check, self._task.timeout, more, self._folder)
        if wrong:
            raise FailedError(Status.ERROR, f"the check {wrong}")
        if self._expect and wrote != self._expect:
            what = "output" if self._task.check == STDOUT else f"answer to '{self._task.check}'"
            raise FailedError(
                Status.VIOLATION, f"its {what} is not that of a run without a preloaded malloc"
            )
        return wrote

    def _result(
        self,
        tree: Tree,
        wall_s: float,
        text: str,
        threads: int,
        wrote: str,
        *,
        stopped_itself: bool | None = None,
    ) -> Result:
        """The record's result in a sweep's terms, with the program's own measures beside it.

        The rate that comparisons use is of the leading measure (`Program.by`), else of the first
        number asked for, inverted where less is better; without either it is runs per second.
        """
        try:
            numbers = {wanted.name: wanted.find(text) for wanted in self._task.numbers}
        except ValueError as error:
            raise FailedError(Status.ERROR, str(error)) from None
        used = {**tree.usage().to_json(), "wall_s": round(wall_s, 6)}
        usage = ProgramUse(**used, numbers=numbers, output=wrote, stopped_itself=stopped_itself)
        operations, elapsed = 1.0, wall_s
        if self._task.by:
            elapsed = float(getattr(usage, self._task.by) or 0.0)
            if elapsed <= 0:
                raise FailedError(Status.ERROR, f"its {self._task.by} is 0, too little to compare")
        elif self._task.numbers:
            first = numbers[self._task.numbers[0].name]
            if not 1e-300 < first < 1e300:
                reason = f"{self._task.numbers[0].name} is {first:g}; accepted: 1e-300 to 1e300"
                raise FailedError(Status.ERROR, reason)
            operations, elapsed = first, 1.0
            if self._task.numbers[0].lower:
                operations, elapsed = 1.0, first
        return Result(operations, elapsed, threads=threads, progressed=threads, program=usage)
