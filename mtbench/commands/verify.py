"""``mtbench verify``: which of the promises that programs rely on does a malloc keep?

Each promise is tested by one run of ``mtbench-probe`` (see ``mtbench/promises``) in a fresh
process with the library preloaded: a crash or a hang is a result with a name. Every probe first
proves that the library is mapped and serves ``malloc``; a missing preload is a broken promise,
never silently the system's malloc. With ``--linked`` a second probe is run as well, which is linked
with hakmem: nothing is preloaded.

Misuse programs are scored apart: stopping a program that breaks the rules is a service, not a
promise. ``--misuse`` makes them count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.machine import fate
from mtbench.mallocs.allocators import Allocator, resolve, resolve_all, worker_environment
from workloads.preload import preload_path

SCHEMA = 1
MISUSE = "misuse"
PROBE, LINKED_PROBE = "mtbench-probe", "mtbench-probe-linked"
_PROBE_KEPT, _PROBE_BROKEN, _PROBE_INAPPLICABLE = 0, 1, 77


@dataclass(frozen=True)
class Promise:
    """One row of the suite: full name, area, cost (``quick`` or ``slow``), what is promised."""

    name: str
    area: str
    cost: str
    line: str


@dataclass(frozen=True)
class Verdict:
    """What one probe said about one malloc.

    ``result`` is ``kept``, ``broken`` or ``inapplicable``; ``why`` is one line, empty for most kept
    promises (some say how much they tried); ``seconds`` is the wall-clock time of the probe. For
    misuse programs ``stop`` says how a kept one ended: ``purpose`` (with a message), ``accident``
    or ``refused``.
    """

    promise: Promise
    result: str
    why: str
    seconds: float
    stop: str | None = None


@dataclass
class Report:
    """All verdicts about one malloc."""

    label: str
    path: str | None
    environment: dict[str, str]
    verdicts: list[Verdict] = field(default_factory=list)

    def promises(self, result: str) -> list[Verdict]:
        """The verdicts with this result, misuse programs left out."""
        return [v for v in self.verdicts if v.result == result and v.promise.area != MISUSE]

    def misuse(self, result: str) -> list[Verdict]:
        """The verdicts with this result among the misuse programs."""
        return [v for v in self.verdicts if v.result == result and v.promise.area == MISUSE]


def probe_path(name: str = PROBE) -> Path:
    """An installed probe; raises MtbenchError where the native half is not built."""
    import mtbench

    # An editable install leaves the Python files in the source tree and installs the executable.
    folders = [*mtbench.__path__, *(str(Path(entry) / "mtbench") for entry in sys.path)]
    for folder in folders:
        candidate = Path(folder) / "promises" / name
        if candidate.is_file():
            return candidate
    raise MtbenchError(f"{name} is not installed beside mtbench; install with: pip install .")


def catalogue(probe: Path) -> list[Promise]:
    """Every promise the probe knows, in its order."""
    listing = subprocess.run([probe, "--list"], capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise MtbenchError(f"{probe} --list failed with exit code {listing.returncode}")
    rows = (line.split("\t") for line in listing.stdout.splitlines())
    return [Promise(name, area, cost, line) for name, area, cost, line in rows]


def select(promises: Iterable[Promise], pattern: str | None) -> list[Promise]:
    """Those whose name or area matches the regular expression (all without one)."""
    if pattern is None:
        return list(promises)
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--only {pattern}: not a regular expression: {error}") from None
    return [p for p in promises if wanted.search(p.name)]


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f": {lines[-1][:160]}" if lines else ""


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _judge(code: int, out: str, err: str) -> tuple[str, str, str | None]:
    """(result, why, stop) of a probe that ended by itself."""
    said = out.strip().splitlines()
    first = said[0] if said else ""
    if code == _PROBE_KEPT:
        if first.startswith("stopped by"):
            return "kept", first, "purpose"
        if first.startswith("accident"):
            return "kept", first, "accident"
        return "kept", first, "refused" if first == "refused" else None
    if code == _PROBE_BROKEN:
        return "broken", first or f"exit code 1{_last_words(err)}", None
    if code == _PROBE_INAPPLICABLE:
        return "inapplicable", first, None
    if code < 0:
        return "broken", f"crash: {fate.signal_name(code)}{_last_words(err)}", None
    return "broken", f"exit code {code}{_last_words(err)}", None


def _wait(process: subprocess.Popen[bytes], out: int, timeout: float) -> int | None:
    """The exit code, or None once the file ``out`` was not touched for ``timeout`` seconds."""
    touched, deadline = os.fstat(out).st_mtime_ns, time.monotonic() + timeout
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=min(1.0, max(0.0, deadline - time.monotonic())))
        now = os.fstat(out).st_mtime_ns
        if now != touched:
            touched, deadline = now, time.monotonic() + timeout
        elif time.monotonic() >= deadline:
            return None


def run_probe(
    probe: Path, promise: Promise, allocator: Allocator, *, quick: bool, timeout: float
) -> Verdict:
    """Tests one promise in a fresh process; no sign of life for ``timeout`` seconds is a hang.

    A probe of many short processes touches its standard output after each: it may be slow.
    """
    served_by = "system" if allocator.path is None else preload_path(allocator.path)
    preloaded = replace(allocator, path=None) if probe.name == LINKED_PROBE else allocator
    command = [str(probe), *(["--quick"] if quick else []), "--served-by", served_by, promise.name]
    began = time.monotonic()
    # Files, not pipes: a grandchild that outlives a crashed probe must not keep us waiting.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as out,
        tempfile.TemporaryFile("w+", errors="replace") as err,
        tempfile.TemporaryDirectory(prefix="mtbench-verify-") as folder,
    ):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=worker_environment(preloaded),
            cwd=folder,
            start_new_session=True,
        )
        try:
            code = _wait(process, out.fileno(), timeout)
        finally:
            _kill_group(process.pid)
            process.wait()
        out.seek(0)
        err.seek(0)
        texts = out.read(4096), err.read(65536)
    seconds = time.monotonic() - began
    if code is None:
        return Verdict(promise, "broken", f"hang: no sign of life for {timeout:g} s", seconds)
    result, why, stop = _judge(code, *texts)
    return Verdict(promise, result, why, seconds, stop)


def verify(
    allocator: Allocator,
    promises: Sequence[Promise],
    *,
    quick: bool = False,
    timeout: float = 60.0,
    jobs: int = 1,
    probe: Path | None = None,
    progress: Callable[[Verdict], None] = lambda verdict: None,
) -> Report:
    """Tests the promises against one malloc, ``jobs`` probes at a time; verdicts keep their order.

    Probes of resident memory and of limits share the machine with their neighbours: more jobs than
    cores make hangs of slow probes more likely, not less.
    """
    executable = probe_path() if probe is None else probe
    report = Report(allocator.label, allocator.path, dict(allocator.environment))
    found: dict[str, Verdict] = {}
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = [
            pool.submit(run_probe, executable, p, allocator, quick=quick, timeout=timeout)
            for p in promises
        ]
        try:
            for future in as_completed(futures):
                verdict = future.result()
                found[verdict.promise.name] = verdict
                progress(verdict)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.verdicts = [found[p.name] for p in promises]
    return report


def table(reports: Sequence[Report]) -> str:
    """Kept of applicable promises, an area a row and a malloc a column; then misuse stopped."""
    areas = list(dict.fromkeys(v.promise.area for r in reports for v in r.verdicts))
    rows = [["area", *(r.label for r in reports)]]
    rows += [[a, *(_score(r.verdicts, a) for r in reports)] for a in areas if a != MISUSE]
    rows.append(["all promises", *(_score(r.verdicts, None) for r in reports)])
    if MISUSE in areas:
        rows.append(["misuse stopped", *(_score(r.verdicts, MISUSE) for r in reports)])
        rows.append(["  on purpose, with a message", *(_on_purpose(r) for r in reports)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _score(verdicts: Iterable[Verdict], area: str | None) -> str:
    counted = [
        v
        for v in verdicts
        if v.result != "inapplicable"
        and (v.promise.area == area if area is not None else v.promise.area != MISUSE)
    ]
    return f"{sum(v.result == 'kept' for v in counted)}/{len(counted)}"


def _on_purpose(report: Report) -> str:
    return str(sum(v.stop == "purpose" for v in report.verdicts))


def broken_lines(report: Report, *, with_misuse: bool) -> list[str]:
    """One line a broken promise: name and why."""
    broken = report.promises("broken") + (report.misuse("broken") if with_misuse else [])
    return [f"{v.promise.name}: {v.why}" for v in broken]


def document(reports: Sequence[Report], *, quick: bool) -> dict[str, object]:
    """The JSON form: schema, and a list of reports with their verdicts."""
    return {
        "schema": SCHEMA,
        "kind": "mtbench-verify",
        "quick": quick,
        "allocators": [
            {
                "label": r.label,
                "path": r.path,
                "environment": r.environment,
                "kept": len(r.promises("kept")),
                "broken": len(r.promises("broken")),
                "inapplicable": len(r.promises("inapplicable")),
                "misuse_stopped": len(r.misuse("kept")),
                "misuse_total": len(r.misuse("kept")) + len(r.misuse("broken")),
                "verdicts": [_flat(v) for v in r.verdicts],
            }
            for r in reports
        ],
    }


def _flat(verdict: Verdict) -> Mapping[str, object]:
    row = asdict(verdict)
    promise = row.pop("promise")
    return {**promise, **row, "seconds": round(verdict.seconds, 2)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of ``mtbench verify``."""
    parser.add_argument(
        "-a",
        "--allocators",
        action="append",
        metavar="NAME[=PATH]",
        help="mallocs to test: names as of `mtbench list allocators`, name=/path/lib.so, or all; "
        "repeatable (default: hakmem)",
    )
    parser.add_argument(
        "--linked", action="store_true", help="test hakmem linked into the probe as well"
    )
    parser.add_argument("--only", metavar="REGEX", help="only promises whose name matches")
    parser.add_argument("--list", action="store_true", help="list the promises and stop")
    parser.add_argument("--quick", action="store_true", help="smaller versions of slow probes")
    parser.add_argument("--misuse", action="store_true", help="unstopped misuse counts as broken")
    parser.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N", help="probes at a time (default: 1)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds without a sign of life after which a probe is hung (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def main(arguments: argparse.Namespace) -> int:
    """Runs ``mtbench verify``; returns the exit code: 0 all kept, 3 some broken.

    Raises UsageError for options that cannot be, MtbenchError where the suite cannot run.
    """
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: must be at least 1")
    if not arguments.timeout > 0:
        raise UsageError(f"--timeout {arguments.timeout:g}: must be above 0 seconds")
    probe = probe_path()
    promises = select(catalogue(probe), arguments.only)
    if not promises:
        raise UsageError(f"--only {arguments.only}: matches no promise; see mtbench verify --list")
    if arguments.list:
        width = max(len(p.name) for p in promises)
        for promise in promises:
            print(f"{promise.name:{width}}  {promise.cost:5}  {promise.line}")
        return Exit.FINE
    # The null allocator never reuses memory: it is a floor for kernels, not a malloc to trust.
    allocators = [a for a in resolve_all(arguments.allocators or ["hakmem"]) if a.kind != "null"]
    if not allocators:
        raise UsageError("--allocators null: the null allocator promises nothing; name a malloc")
    subjects = [(allocator, probe) for allocator in allocators]
    if arguments.linked:
        linked = replace(resolve("hakmem"), label="hakmem-linked")
        subjects.append((linked, probe_path(LINKED_PROBE)))
    reports = []
    for allocator, executable in subjects:
        progress = _Progress(allocator.label, len(promises), quiet=arguments.quiet)
        reports.append(
            verify(
                allocator,
                promises,
                quick=arguments.quick,
                timeout=arguments.timeout,
                jobs=arguments.jobs,
                probe=executable,
                progress=progress,
            )
        )
        progress.end()
    if arguments.json:
        print(json.dumps(document(reports, quick=arguments.quick), indent=1))
    else:
        _print_reports(reports, with_misuse=arguments.misuse)
    broke = any(broken_lines(r, with_misuse=arguments.misuse) for r in reports)
    return Exit.GATE if broke else Exit.FINE


def _print_reports(reports: Sequence[Report], *, with_misuse: bool) -> None:
    print(table(reports))
    for report in reports:
        lines = broken_lines(report, with_misuse=with_misuse)
        if lines:
            print(f"\n{report.label} breaks:")
            for line in lines:
                print(f"  {line}")
        skipped = report.promises("inapplicable")
        if skipped:
            print(f"\n{report.label}, not applicable:")
            for verdict in skipped:
                print(f"  {verdict.promise.name}: {verdict.why}")


class _Progress:
    """A counter on stderr when somebody is looking, nothing otherwise."""

    def __init__(self, label: str, total: int, *, quiet: bool) -> None:
        self._label, self._total, self._done = label, total, 0
        self._shown = not quiet and sys.stderr.isatty()

    def __call__(self, verdict: Verdict) -> None:
        self._done += 1
        if self._shown:
            line = f"{self._label}: {self._done}/{self._total} {verdict.promise.name}"
            print(f"\r{line[:78]:78}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clears the line."""
        if self._shown:
            print(f"\r{'':78}\r", end="", file=sys.stderr, flush=True)
