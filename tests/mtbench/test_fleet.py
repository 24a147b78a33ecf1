"""Sweeps on the hosts of a Dask cluster: a real scheduler, two workers posing as two hosts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.fabricated import manifest

pytest.importorskip("distributed", reason="Dask's distributed is not installed")

from mtbench.commands import cluster
from mtbench.commands.arguments import request
from mtbench.commands.parser import build_parser
from mtbench.errors import MtbenchError, UsageError
from mtbench.fleet import fleet
from mtbench.fleet.fleet import Cluster, Fleet
from mtbench.fleet.remote import Described
from mtbench.plan import jobs
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Site

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SHORT = ("--duration", "0.05", "--warmup", "0", "--no-progress")


class Loopback:
    """A scheduler and workers on this machine, started and killed one by one."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _start(self, name: str, *words: str, **variables: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--no-dashboard"],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, **variables, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"},
            )

    def scheduler(self) -> None:
        self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the scheduler does not listen")

    def worker(self, name: str, *, resource: str = "mtbench=1") -> None:
        words = ["worker", self.address, "--nthreads", "1", "--no-nanny"]
        words += ["--resources", resource, "--local-directory", str(self._folder / name)]
        self._start(name, *words, MTBENCH_HOST=name)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    def wait(self, workers: int) -> None:
        cluster = Cluster(self.address)
        deadline = time.monotonic() + 60
        while len(cluster.live()) < workers and time.monotonic() < deadline:
            time.sleep(0.2)
        cluster.broken()


@pytest.fixture
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    made = Loopback(tmp_path_factory.mktemp("cluster"))
    made.scheduler()
    yield made
    made.close()


@pytest.fixture
def two_hosts(loopback: Loopback) -> Loopback:
    loopback.worker("alpha")
    loopback.worker("beta")
    loopback.wait(2)
    return loopback


def records(run: Path) -> list[dict[str, Any]]:
    path = run / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keys(run: Path) -> list[tuple[Any, ...]]:
    return [
        (r["host"]["name"], r["block"], r["allocator"], r["workload"], r["threads"])
        for r in records(run)
    ]


def test_cells_stay_on_one_host_and_hosts_stand_side_by_side(
    command: Command, tmp_path: Path, two_hosts: Loopback
) -> None:
    grid = ("-a", "system,hakmem", "-t", "1", "-n", 2, *SHORT, "--cluster", two_hosts.address)
    done = command("sweep", *grid, "-w", "mid_gap,larson", "-o", "spread")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "spread"
    assert len(keys(run)) == len(set(keys(run))) == 8
    owners = {(r["workload"], r["host"]["name"]) for r in records(run)}
    assert len(owners) == 2 and {name for _, name in owners} == {"alpha", "beta"}
    assert all(r["status"] == "ok" and len(r["identity"]["sha256"]) == 64 for r in records(run))
    trials = run / "trials.jsonl"
    kept = trials.read_text().splitlines()[:3]
    trials.write_text("\n".join(kept) + "\n")
    again = command("sweep", "--resume", "spread", "-q")
    assert again.returncode == 0, again.stderr
    assert trials.read_text().splitlines()[:3] == kept
    assert len(keys(run)) == len(set(keys(run))) == 8

    done = command("sweep", *grid, "-w", "mid_gap", "--on-each-host", "-o", "each")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "each"
    assert len(keys(run)) == len(set(keys(run))) == 8
    assert {name for name, *_ in keys(run)} == {"alpha", "beta"}
    page = (run / "report.html").read_text()
    assert "What differs between the runs" in page and "alpha" in page and "beta" in page
    ranked = command("rank", "each")
    assert ranked.returncode == 2 and "each:alpha" in ranked.stderr
    assert command("rank", "each:alpha", "--of", "hakmem").returncode == 0
    told = command("compare", "each")
    assert told.returncode == 0, told.stderr
    assert "host alpha / beta" in told.stderr or "host beta / alpha" in told.stderr


def test_a_killed_worker_and_a_restarted_scheduler_lose_no_record(
    tmp_path: Path, two_hosts: Loopback
) -> None:
    run = tmp_path / "run"
    words = ["-a", "system", "-w", "mid_gap", "-t", "1", "-n", "7", "--duration", "1"]
    words += ["--warmup", "0", "--no-progress", "--on-each-host", "-o", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mtbench", "sweep", *words, "--cluster", two_hosts.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def reach(count: int) -> list[str]:
        deadline = time.monotonic() + 90
        while len(records(run)) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return (run / "trials.jsonl").read_text().splitlines()

    kept = reach(3)
    time.sleep(0.3)
    two_hosts.kill("alpha")
    two_hosts.worker("alpha")
    kept = reach(7)[: max(7, len(kept))]
    two_hosts.kill("scheduler")
    two_hosts.kill("alpha")
    two_hosts.kill("beta")
    two_hosts.scheduler()
    two_hosts.worker("alpha")
    two_hosts.worker("beta")
    _, complaint = process.communicate(timeout=150)
    assert process.returncode == 0, complaint
    assert (run / "trials.jsonl").read_text().splitlines()[: len(kept)] == kept
    assert len(keys(run)) == len(set(keys(run))) == 14
    assert all(r["status"] == "ok" for r in records(run))
    lost = [why for r in records(run) for why in r["host"]["lost"]]
    assert lost, "the record says that its worker was lost"


def test_a_worker_without_the_resource_is_refused(
    command: Command, tmp_path: Path, loopback: Loopback
) -> None:
    loopback.worker("alpha", resource="other=1")
    done = command("sweep", "-a", "system", "-w", "mid_gap", "--cluster", loopback.address)
    assert done.returncode == 2
    assert "does not offer the resource mtbench" in done.stderr
    assert "--resources mtbench=1" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def job() -> jobs.Job:
    words = ["sweep", "-a", "system", "-w", "mid_gap,larson,remote", "-t", "1", "-n", "1"]
    return jobs.job(request(build_parser(words).parse_args(words)))


def told(name: str, told_of: dict[str, str] | None = None, /, **changes: Any) -> Described:
    site = Site(cores=2, allocators=(), conditions=told_of or {})
    return replace(Described(name, name, 1, conditions.build(), site), **changes)


def begun(path: Path, **fields: Any) -> RunDirectory:
    """A run on a cluster."""
    made = msgspec.structs.replace(manifest(job().plan), cluster="tcp://1", **fields)
    return RunDirectory.create(path, made)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"build": {**conditions.build(), "hakmem": "0123"}}, "another build of hakmem (0123)"),
        ({"error": "allocator 'x' is not installed here"}, "host b: allocator 'x' is not"),
        ({"name": "a", "key": "other"}, "two machines are called a"),
    ],
)
def test_hosts_that_cannot_be_compared_are_refused(changes: dict[str, Any], words: str) -> None:
    found = Fleet(Cluster("tcp://127.0.0.1:1"), job())
    found._admit("tcp://1", told("a"))
    with pytest.raises(UsageError) as refused:
        found._admit("tcp://2", told("b", **changes))
    assert words in str(refused.value)


def test_two_names_of_one_machine_are_one_host() -> None:
    found = Fleet(Cluster("tcp://127.0.0.1:1"), job())
    found._admit("tcp://1", told("a", key="boot"))
    found._admit("tcp://2", told("b", key="boot"))
    assert list(found.hosts) == ["a"]


def test_a_host_is_not_resumed_under_other_conditions(tmp_path: Path) -> None:
    wanted = job()
    found = Fleet(Cluster("tcp://127.0.0.1:1"), wanted)
    found._admit("tcp://1", told("a", {"cores": "2"}))
    kept = {"a": told("a", {"cores": "2", "MALLOC_ARENA_MAX": "1"}).site}
    with begun(tmp_path / "run", on_each_host=True, assignment={}, hosts=kept) as run:
        with pytest.raises(UsageError, match=r"host a .* \(MALLOC_ARENA_MAX was 1, is unset\)"):
            cluster._settle(run, wanted, found)
        run.update(hosts={"a": told("a", {"cores": "2"}).site})
        cluster._settle(run, wanted, found)


def test_every_workload_has_one_host_and_no_host_is_idle() -> None:
    wanted = job()
    found = Fleet(Cluster("tcp://127.0.0.1:1"), wanted)
    found._admit("tcp://1", told("a"))
    found._admit("tcp://2", told("b"))
    chosen = fleet.assigned(wanted, found.hosts)
    assert set(chosen) == set(wanted.plan.workloads)
    assert set(chosen.values()) == {"a", "b"}


def test_a_lost_host_leaves_its_workloads_to_another_from_the_start(tmp_path: Path) -> None:
    wanted = job()
    found = Fleet(Cluster("tcp://127.0.0.1:1"), wanted)
    gone, there = (found._admit(f"tcp://{name}", told(name)) for name in ("a", "b"))
    assignment = dict.fromkeys(("mid_gap", "larson"), "a") | {"remote": "b"}
    with begun(tmp_path / "run", on_each_host=False, assignment=assignment, hosts={}) as run:
        fleet.fill(found, run)
        half = gone.queue.popleft().cell.workload
        there.workers, gone.last_seen = ["tcp://b"], -fleet.PATIENCE_S * 2
        found._move(run)
        left = {"mid_gap", "larson"} - {half}
        assert [t.cell.workload for t in there.queue] == ["remote", *left] and not gone.queue
        assert run.manifest.assignment == assignment | dict.fromkeys(left, "b")
        there.workers, there.last_seen = [], -fleet.PATIENCE_S * 2
        with pytest.raises(MtbenchError, match="host b did not come back with 2 trials to go"):
            found._move(run)


def test_wrong_addresses_and_options_are_one_line(command: Command) -> None:
    done = command("sweep", "-a", "system", "-w", "mid_gap", "--cluster", "nonsense://x")
    assert done.returncode == 2 and "accepted: tcp://HOST:8786" in done.stderr
    done = command("sweep", "-a", "system", "-w", "mid_gap", "--on-each-host")
    assert done.returncode == 2 and "--on-each-host goes with --cluster" in done.stderr
