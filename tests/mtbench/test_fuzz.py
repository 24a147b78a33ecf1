"""Whatever a file holds or a user types: a result, or one line and the right exit code; never a
traceback, and nothing lost."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import workloads
from mtbench.__main__ import main
from mtbench.api import load
from mtbench.base.table import one_line
from mtbench.commands.parser import build_parser
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.mallocs import allocators
from mtbench.plan import jobs
from mtbench.plan.plan import thread_counts
from tests.support.fabricated import fabricate
from workloads.sizes import Sizes

# The same examples in every run: what fails here fails for everyone, and says so at once.
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # the damage is one place: there is nothing to shrink
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    suppress_health_check=list(HealthCheck),
)
ODD_TEXT = st.sampled_from(
    ["", " ", "\0", "\x1b[31m", "\udcff", "ä", "\u2028", "9" * 5000, "1e400", "²", "٣", "-1", "'"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 10**400, 2**63, 1e300, 1e-300, 5e-324, -0.0]),
    st.floats(),
    st.integers(),
    ODD_TEXT,
    st.text(max_size=5),
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=3), SCALARS)
)
REMOVED = object()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 2)):
            yield from places(value[index], (*path, index))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with one part replaced, or removed."""
    if not path:
        return None if new is REMOVED else new
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    if new is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return found


def damaged(value: Any) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda path, new: changed(value, path, new),
        st.sampled_from(list(places(value))),
        st.one_of(VALUES, st.just(REMOVED)),
    )


def program_run(path: Path) -> Path:
    """A run of a program, from a sweep's."""
    fabricate(path, lambda *_: 1e6, allocators=("system", "peer"), threads=(1,), trials=2)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["program"] = {
        "name": "mid_gap", "command": ["true"], "client": [], "setup": "", "prepare": "",
        "cleanup": "", "ready": "", "codes": [0], "timeout": 600.0,
        "numbers": [{"name": "rate", "pattern": "(.*)", "lower": False}],
    }  # fmt: skip
    (path / "manifest.json").write_text(json.dumps(manifest))
    lines = []
    for line in (path / "trials.jsonl").read_text().splitlines():
        record = json.loads(line)
        record["identity"] |= {"processes": 1, "proven": 1}
        used = {"wall_s": 0.5, "user_s": 0.4, "system_s": 0.1, "rss_peak": 1 << 20}
        record["result"]["program"] = used | {"numbers": {"rate": 4.0}}
        lines.append(json.dumps(record) + "\n")
    (path / "trials.jsonl").write_text("".join(lines))
    return path


def fleet_run(path: Path) -> Path:
    """A run of one host of a cluster, from a sweep's."""
    fabricate(path, lambda *_: 1e6, allocators=("system", "peer"), threads=(1,), trials=2)
    kept = json.loads((path / "manifest.json").read_text())
    names = ("machine", "fingerprint", "packages", "facts", "allocators")
    kept["hosts"] = {"here": {name: kept[name] for name in names if name in kept} | {"cores": 2}}
    kept |= {"cluster": "tcp://here", "on_each_host": False, "assignment": {"mid_gap": "here"}}
    (path / "manifest.json").write_text(json.dumps(kept))
    lines = (path / "trials.jsonl").read_text().splitlines()
    records = [json.loads(line) | {"host": {"name": "here"}} for line in lines]
    (path / "trials.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


@pytest.fixture(params=["sweep", "program", "fleet"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "program":
        return program_run(tmp_path / "run")
    if request.param == "fleet":
        return fleet_run(tmp_path / "run")
    labels = ("system", "hakmem")
    return fabricate(tmp_path / "run", lambda *_: 1e6, allocators=labels, threads=(1, 2), trials=2)


def is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every reader of a run ends well, and changes nothing."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    name = str(path)
    for command in (
        ["report", name, "--markdown"],
        ["rank", name, "--of", "system", "--json"],
        ["compare", name, name],
    ):
        code = main(command)
        said = capsys.readouterr().err
        # A record of a host that the run has not leaves its cell unfinished: the gate closes.
        assert code in (Exit.FINE, Exit.FAILED, Exit.USAGE, Exit.GATE)
        assert said.count("\n") == (code != Exit.FINE), said
        assert len(said) < 1000
    with contextlib.suppress(MtbenchError):
        load(path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_damaged_records_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "trials.jsonl"
    lines = file.read_text().splitlines()

    @FIXED
    @given(damaged(json.loads(lines[0])))
    def check(record: Any) -> None:
        file.write_text("\n".join([json.dumps(record), *lines[1:], ""]))
        is_told(run, capsys)

    check()


def test_damaged_manifests_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run / "manifest.json"
    whole = json.loads(file.read_text())

    @FIXED
    @given(damaged(whole))
    def check(manifest: Any) -> None:
        file.write_text(json.dumps(manifest))
        is_told(run, capsys)

    check()


def test_bytes_in_place_of_a_run_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [(run / name, (run / name).read_bytes()) for name in ("trials.jsonl", "manifest.json")]

    @FIXED
    @given(st.sampled_from(files), st.integers(0, 4000), st.binary(max_size=20))
    def check(chosen: tuple[Path, bytes], place: int, data: bytes) -> None:
        file, whole = chosen
        file.write_bytes(whole[:place] + data + whole[place + len(data) :])
        is_told(run, capsys)
        file.write_bytes(whole)

    check()


def test_damaged_workloads_are_refused_or_come_back(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    spec = workloads.catalogue()["mid_exchange"].with_options(
        phases=[{"kind": "ramp", "seconds": 1.0}, {"kind": "steady", "seconds": 1.0}]
    )

    @FIXED
    @given(damaged(spec.as_mapping()))
    def check(mapping: Any) -> None:
        try:
            made = workloads.Workload.from_mapping(mapping if isinstance(mapping, dict) else {})
        except workloads.SpecError as error:
            assert len(str(error).splitlines()) == 1
            assert len(str(error)) < 1000
            return
        file.write_text(made.to_toml(), encoding="utf-8")
        assert workloads.load(file) == made

    check()


def told(call: Callable[[], object], *errors: type[Exception]) -> None:
    try:
        call()
    except errors as error:
        line = one_line(str(error))
        assert len(line.splitlines()) == 1
        assert len(line) <= 2000


def test_any_text_in_place_of_a_workload_is_told(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    whole = workloads.catalogue()["mid_gap"].to_toml().encode()
    odd = st.sampled_from([b"[" * 3000, b"9" * 5000, b'"\\u0000"', b"['a']", b"nan", b"2020-01-01"])

    @FIXED
    @given(st.integers(0, len(whole)), st.one_of(st.binary(max_size=10), odd), st.integers(0, 20))
    def check(place: int, data: bytes, removed: int) -> None:
        file.write_bytes(whole[:place] + data + whole[place + removed :])
        told(lambda: workloads.load(file), workloads.SpecError)

    check()


def test_any_text_in_place_of_sizes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "sizes.csv"
    parts = ["16", "3", ",", ";", "\t", " ", "[", ")", "]", "(", "-", "0x40", "1K", "size", "count",
             "\n", "#", '"', "|@@|", "\ufeff", "e9", ".", "-1", "9" * 400,
             "a" * 200_000]  # fmt: skip

    @FIXED
    @given(st.one_of(st.lists(st.sampled_from(parts)).map("".join), st.text()))
    def check(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        told(lambda: Sizes.from_csv(file), workloads.SpecError)

    check()


@FIXED
@given(st.lists(st.sampled_from(["1", "-", ",", "64", "٣", "9" * 5000, " ", "x"])).map("".join))
def test_any_list_of_thread_counts_is_told(text: str) -> None:
    told(lambda: thread_counts(text), UsageError)


@FIXED
@given(
    st.lists(
        st.sampled_from(
            ["mid_gap", ":", "=", ",", "\\", "work", "²", "9" * 5000, "kernel", "sizes", ".toml",
             "phases", "all", "hakmem", "registry", "system", "/", "\udcff", "name", "1", "\n"]
        ),
        max_size=8,
    ).map("".join)
)  # fmt: skip
def test_any_list_of_workloads_or_allocators_is_told(text: str) -> None:
    told(lambda: jobs.workload_specs([text]), UsageError, workloads.SpecError)
    told(lambda: allocators.resolve_all([text]), UsageError)


@FIXED
@given(
    st.sampled_from(
        ["-n", "-t", "-o", "--seed", "--duration", "--warmup", "--timeout", "--memory", "--title",
         "--latency-every", "--pin", "--resume", "--cluster", "-a", "-w"]
    ),
    st.one_of(ODD_TEXT, st.text(max_size=6), st.floats().map(str)),
)  # fmt: skip
def test_any_value_of_an_option_is_taken_or_refused_with_exit_code_2(name: str, text: str) -> None:
    arguments = ["sweep", f"{name}={text}" if name.startswith("--") else f"{name}{text}"]
    try:
        build_parser(arguments).parse_args(arguments)
    except SystemExit as leaving:
        assert leaving.code == Exit.USAGE
