"""Programs under the allocators of a plan: each trial run, proven equal, and put into a record."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from mtbench.machine import procfs, readings
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.plan import Cell, Trial
from mtbench.programs.inputs import provide
from mtbench.programs.program import Program
from mtbench.runs.record import SCHEMA, Around, Record, Status, sound
from mtbench.runs.result import Result
from mtbench.trial import signals
from mtbench.trial.attempt import Attempt, FailedError
from mtbench.trial.proctree import end_orphans
from mtbench.trial.starting import shell
from mtbench.trial.tally import counting, counts, tally
from plots.data import Tally

_ATTEMPTS = 3
"""How often a run is made that was stopped and continued each time."""
_NOBODY = Allocator("none", "system", None)


class ProgramTrial:
    """Runs programs, by name, under the allocators of one plan."""

    def __init__(self, tasks: Mapping[str, Program], chosen: Mapping[str, Allocator]) -> None:
        self._tasks = tasks
        self._chosen = chosen
        self._root: Path | None = None
        self._folders: dict[str, Path] = {}
        self._references: dict[tuple[str, int], str | FailedError] = {}
        self._fickle: dict[tuple[str, int], bool] = {}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile programs with inputs have folders of their own, which are then removed."""
        self._root = Path(tempfile.mkdtemp(prefix="mtbench-programs-"))
        try:
            yield
        finally:
            shutil.rmtree(self._root, ignore_errors=True)
            self._folders.clear()

    def record(self, trial: Trial) -> Record:
        """Run once; whatever becomes of the program, a record comes back. A run that was stopped
        and continued is made again: its times would count the pause.

        Raises MtbenchError if a command around it fails or the program cannot be started, and
        UsageError if an input cannot be made.
        """
        for attempt in range(_ATTEMPTS):
            before, continued = procfs.present(), signals.times_continued()
            try:
                record, paused = self._once(trial, attempt)
            finally:
                end_orphans(before)
            if not paused and signals.times_continued() == continued:
                return self._explained(record)
        return record.failed(
            Status.ERROR,
            f"stopped and continued in each of {_ATTEMPTS} attempts, so that its times count a "
            "pause",
        )

    def _explained(self, record: Record) -> Record:
        """The same; a violation says so where the program never writes the same twice."""
        if record.status is not Status.VIOLATION:
            return record
        key = (record.workload, record.threads)
        if key not in self._fickle:
            before = procfs.present()
            try:
                again = self._plain(*key).program
                self._fickle[key] = again is not None and again.output != self._references[key]
            except FailedError:
                self._fickle[key] = False
            finally:
                end_orphans(before)
        if not self._fickle[key]:
            return record
        return record.failed(
            record.status,
            f"{record.reason}, nor is it the same in two runs without one, so that no malloc is to "
            "blame; accepted: a check of the part that stays (--check COMMAND)",
        )

    def plain(self, cell: Cell) -> str | None:
        """Run a program once without any preloaded library: how it ended, None if well. For one
        that no malloc could serve, to tell whose fault it is."""
        before = procfs.present()
        try:
            self._plain(cell.workload, cell.threads)
        except FailedError as failure:
            return str(failure)
        finally:
            end_orphans(before)
        return None

    def tally(self, name: str, threads: int) -> Tally | None:
        """What a program asks of its malloc, from one run of its own. None if it fails so, or if
        that run was stopped and continued. Raises as `record`."""
        before, continued = procfs.present(), signals.times_continued()
        with tempfile.TemporaryDirectory(prefix="mtbench-tally-") as folder:
            file = Path(folder) / "tally"
            try:
                expect = self._reference(name, threads)
                result, stopped = self._aside(name, threads, counting(file), expect)
            except FailedError:
                return None
            finally:
                end_orphans(before)
            if stopped or signals.times_continued() != continued or result.program is None:
                return None
            return tally(counts(file), result.program)

    def _plain(self, name: str, threads: int) -> Result:
        return self._aside(name, threads, _NOBODY, "")[0]

    def _aside(
        self, name: str, threads: int, chosen: Allocator, expect: str
    ) -> tuple[Result, bool]:
        """A run that is no trial, and whether it was stopped and continued. Raises FailedError."""
        task = self._tasks[name].at(threads, _free_port())
        run = Attempt(task, chosen, self._folder(name), expect)
        with self._around(task, chosen.label, 0, self._folder(name)):
            try:
                return run.result(threads), run.found.stopped
            except FailedError as failure:
                last = run.found.words.strip().splitlines()[-1:]
                more = f": {last[0][:200]}" if last and last[0][:200] not in str(failure) else ""
                raise FailedError(failure.status, f"{failure}{more}") from None

    def _folder(self, name: str) -> Path | None:
        """Where a program runs: None for here. Its inputs are made when they are first wanted."""
        task = self._tasks[name]
        if not task.apart or self._root is None:
            return None
        if name not in self._folders:
            folder = self._root / name
            folder.mkdir()
            provide(task.inputs, folder)
            self._folders[name] = folder
        return self._folders[name]

    def _reference(self, name: str, threads: int) -> str:
        """What the program has to write, from one run without any preloaded malloc; "" if nothing
        is compared. Raises FailedError if it fails there, too."""
        if not self._tasks[name].check:
            return ""
        key = (name, threads)
        if key not in self._references:
            before = procfs.present()
            try:
                used = self._plain(name, threads).program
                self._references[key] = used.output if used else ""
            except FailedError as failure:
                reason = f"without a preloaded malloc, too: {failure}"
                self._references[key] = FailedError(failure.status, reason)
            finally:
                end_orphans(before)
        found = self._references[key]
        if isinstance(found, FailedError):
            raise found
        return found

    @contextlib.contextmanager
    def _around(self, task: Program, label: str, block: int, folder: Path | None) -> Iterator[None]:
        """--prepare before, --conclude after, whatever becomes of the run."""
        more = {"MTBENCH_ALLOCATOR": label, "MTBENCH_ROUND": str(block)} | task.environment
        if task.prepare:
            shell("--prepare", task.prepare, task.timeout, more, folder)
        try:
            yield
        finally:
            if task.conclude:
                shell("--conclude", task.conclude, task.timeout, more, folder)

    def _once(self, trial: Trial, attempt: int) -> tuple[Record, bool]:
        """The record of one attempt, and whether the program was stopped and continued."""
        name, threads = trial.cell.workload, trial.cell.threads
        chosen, folder = self._chosen[trial.cell.allocator], self._folder(name)
        status, reason, result, expect = Status.OK, None, None, ""
        try:
            expect = self._reference(name, threads)
        except FailedError as failure:
            status, reason = failure.status, str(failure)
        task = self._tasks[name].at(threads, _free_port())
        run = Attempt(task, chosen, folder, expect)
        load, runnable, steal, started = *readings.load(), readings.steal_s(), time.time()
        if status is Status.OK:
            with self._around(task, chosen.label, trial.block + 1, folder):
                load, runnable, steal, started = *readings.load(), readings.steal_s(), time.time()
                try:
                    result = run.result(threads)
                except FailedError as failure:
                    status, reason = failure.status, str(failure)
        found = run.found
        record = Record(
            schema=SCHEMA,
            order=trial.order,
            block=trial.block,
            allocator=trial.cell.allocator,
            workload=name,
            threads=threads,
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


def _free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
