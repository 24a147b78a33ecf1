"""Whatever an allocator does to its process, an outcome comes back and nothing stays behind."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import workloads
from mtbench.errors import UsageError
from mtbench.machine import procfs
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.trial.isolate import TAIL_BYTES, Limits, Outcome, run_worker

Library = Callable[[str], Path]


def outcome(
    path: Path | None,
    *,
    timeout_s: float = 60.0,
    memory_bytes: int = 0,
    duration: float = 0.5,
) -> Outcome:
    request = workloads.request(
        workloads.catalogue()["mid_gap"], threads=2, duration=duration, warmup=0.0, seed=1
    )
    kind = "system" if path is None else "peer"
    chosen = Allocator("it", kind, None if path is None else os.path.realpath(path))
    return run_worker(request, chosen, Limits(timeout_s, memory_bytes))


def test_the_system_malloc_serves_and_is_proved() -> None:
    result = outcome(None)
    assert result.status == "ok"
    assert "libc" in result.record["identity"]["path"]
    assert result.record["result"]["operations"] > 0


def test_a_preloaded_library_is_proved_by_its_real_path(library: Library) -> None:
    result = outcome(library("good"))
    assert result.status == "ok"
    assert result.record["identity"]["path"] == os.path.realpath(library("good"))


@pytest.mark.parametrize(
    "place", ["my mällocs/lib{}.so", "a:b/lib{}.so", "$LIB/lib{}.so", "plain/my {}.so"]
)
def test_a_library_serves_from_any_path(place: str, library: Library, tmp_path: Path) -> None:
    path = tmp_path / place.format("good")
    path.parent.mkdir()
    shutil.copy(library("good"), path)
    (entry,) = allocators.identify([allocators.resolve(f"mine={path}")])
    assert entry.path == str(path)
    result = outcome(path, duration=0.05)
    assert result.status == "ok"
    assert result.record["identity"]["path"] == str(path)


def test_another_library_than_expected_is_a_mismatch_not_a_number(library: Library) -> None:
    request = workloads.request(
        workloads.catalogue()["mid_gap"], threads=1, duration=0.05, warmup=0.0, seed=1
    )
    half = run_worker(request, Allocator("half", "peer", str(library("half"))), Limits(60))
    assert half.status == "mismatch"
    assert "free is served by" in (half.reason or "")
    assert "result" not in half.record


def test_a_crash_keeps_its_signal_and_last_words(library: Library) -> None:
    result = outcome(library("crash"), duration=30.0)
    assert (result.status, result.signal) == ("crash", "SIGSEGV")
    assert "heap is broken" in result.stderr_tail


def test_a_hang_ends_at_the_watchdog_with_the_states_of_its_threads(library: Library) -> None:
    result = outcome(library("hang"), timeout_s=5.0, duration=300.0)
    assert result.status == "timeout"
    assert len(result.threads) >= 3
    assert "threads:" in (result.reason or "")
    assert result.signal == "SIGKILL"


def test_a_worker_that_was_stopped_and_continued_gives_no_number() -> None:
    before = procfs.present()

    def stop() -> None:
        while not (found := procfs.children(before)):
            time.sleep(0.01)
        worker = min(found)
        os.kill(worker, signal.SIGSTOP)
        os.waitid(os.P_PID, worker, os.WSTOPPED | os.WNOWAIT)
        os.kill(worker, signal.SIGCONT)

    thread = threading.Thread(target=stop)
    thread.start()
    result = outcome(None, duration=300.0)
    thread.join()
    assert result.status == "error"
    assert "stopped and continued" in (result.reason or "")


def test_a_flood_of_words_keeps_only_the_last_two_kilobytes(library: Library) -> None:
    result = outcome(library("flood"))
    assert result.status == "ok"
    assert 0 < len(result.stderr_tail.encode()) <= TAIL_BYTES


def test_closed_descriptors_cost_no_record(library: Library) -> None:
    result = outcome(library("closer"))
    assert result.status == "ok"
    assert result.record["result"]["operations"] > 0


def test_children_of_an_allocator_end_with_the_trial(library: Library) -> None:
    path = library("forker")
    result = outcome(path)
    assert result.status == "ok"
    deadline = time.monotonic() + 60
    while (left := _users(path)) and time.monotonic() < deadline:
        time.sleep(0.02)  # what was killed is still to end
    assert left == []


def _users(library: Path) -> list[str]:
    """Processes beside this one that have the library mapped."""
    found = (maps for maps in Path("/proc").glob("[0-9]*/maps") if _mapped(maps, library))
    return [maps.parent.name for maps in found if maps.parent.name != str(os.getpid())]


def _mapped(maps: Path, library: Path) -> bool:
    try:
        return str(library) in maps.read_text()
    except OSError:
        return False


def test_threads_that_want_a_processor_during_a_trial_are_counted() -> None:
    # The median over the worker's life, so a window that is most of it, however slow the start.
    request = workloads.request(
        workloads.catalogue()["mid_gap"], threads=8, duration=3.0, warmup=0.0, seed=1
    )
    assert run_worker(request, allocators.resolve("system"), Limits(60)).runnable >= 8


def test_an_allocator_that_eats_memory_is_stopped_at_its_limit(library: Library) -> None:
    # A window that outlasts any delay: the limit alone can end it.
    result = outcome(library("eater"), timeout_s=600.0, memory_bytes=256 << 20, duration=300.0)
    assert result.status == "error"
    assert "over the limit of 256 MiB" in (result.reason or "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stranger", "does not take effect"),
        ("half", "is no whole malloc"),
        ("quitter", "bad setting 'x'"),
    ],
)
def test_what_is_no_malloc_is_refused_before_anything_is_measured(
    library: Library, name: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        allocators.identify([allocators.resolve(f"{name}={library(name)}")])
    assert "\n" not in str(caught.value)
