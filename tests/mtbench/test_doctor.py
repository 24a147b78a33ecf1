"""The doctor: every fact, what spoils, and native code that is older than its sources."""

import json
from pathlib import Path
from types import ModuleType

import pytest

import allocator
import workloads
from mtbench.__main__ import main
from mtbench.machine import checks, readings
from mtbench.runs import conditions

FACTS = {
    "processor",
    "cores",
    "caches",
    "usable cores",
    "affinity",
    "cgroup CPU quota",
    "memory",
    "SMT",
    "frequency governor",
    "turbo",
    "kernel",
    "libc",
    "ASLR",
    "transparent huge pages",
    "overcommit",
    "load",
    "virtualisation",
    "free memory",
    "steal time",
    "perf events",
    "environment",
    "packages",
    "allocator library",
    "workloads library",
}


def test_every_fact_is_examined_and_the_worst_comes_first() -> None:
    facts = checks.examine()
    assert not FACTS - {fact.name for fact in facts}
    ranks = [("warning", "unknown", "note", "ok").index(fact.severity) for fact in facts]
    assert ranks == sorted(ranks)
    for fact in facts:
        assert fact.found
        if fact.severity == "warning":
            assert fact.harm and fact.remedy


def test_the_exit_code_tells_whether_something_spoils(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = checks.Fact("load", "0")
    monkeypatch.setattr(checks, "CHECKS", (lambda: iter([fine]),))
    assert main(["doctor"]) == 0
    bad = checks.Fact("load", "9", "others take time", "stop them", "warning")
    monkeypatch.setattr(checks, "CHECKS", (lambda: iter([fine, bad]),))
    assert main(["doctor"]) == 4
    output = capsys.readouterr().out
    assert "harm: others take time" in output and "mend: stop them" in output
    assert main(["doctor", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)[0]["name"] == "load"


def test_settings_of_allocators_in_the_environment_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    fact = next(fact for fact in checks.examine() if fact.name == "environment")
    assert fact.severity == "warning" and "MALLOC_ARENA_MAX=1" in fact.found


@pytest.mark.parametrize("package", [allocator, workloads])
def test_the_hash_recomputed_here_is_the_one_cmake_embedded(package: ModuleType) -> None:
    build = allocator.build() if package is allocator else workloads.BUILD
    folder = Path(str(package.__file__)).parent
    if not (folder / "src").is_dir():
        pytest.skip("installed without sources")
    found = checks.source_hash(folder, build.flags)
    assert found == build.source_hash


def test_native_code_older_than_its_sources_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "src" / "a.c").write_text("int a;\n")
    package = ModuleType("thing")
    package.__file__ = str(tmp_path / "__init__.py")
    build = allocator.Build(checks.source_hash(tmp_path, "-O2"), "-O2")
    assert checks._build(package, lambda: build).severity == "ok"
    (tmp_path / "src" / "a.c").write_text("int b;\n")
    assert checks._build(package, lambda: build).severity == "warning"


def test_a_cgroup_quota_bounds_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "affinity", lambda: tuple(range(8)))
    for quota, cores in ((None, 8), (2.0, 2), (1.5, 1), (0.25, 1), (16.0, 8)):
        monkeypatch.setattr(readings, "cpu_quota", lambda quota=quota: quota)
        assert readings.usable_cores() == cores


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")],
)
def test_a_cgroup_limit_bounds_what_a_worker_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, used: str
) -> None:
    (tmp_path / limit).write_text(f"{100 << 20}\n")
    (tmp_path / used).write_text(f"{20 << 20}\n")
    monkeypatch.setattr(readings, "_cgroup_folders", lambda controller: iter([tmp_path]))
    assert readings.worker_memory() == 60 << 20


def virtio(folder: Path, device: str, *features: int) -> Path:
    """What Linux shows of one virtio device with these features, as bits."""
    (folder / "virtio0").mkdir(parents=True)
    (folder / "virtio0" / "device").write_text(f"{device}\n")
    bits = "".join("1" if bit in features else "0" for bit in range(64))
    (folder / "virtio0" / "features").write_text(f"{bits}\n")
    return folder


def test_a_balloon_that_reports_free_pages_is_seen(tmp_path: Path) -> None:
    assert readings.reports_free_pages(virtio(tmp_path / "reports", "0x0005", 1, 5, 32))
    for name, device, bits in (("other", "0x0001", (5,)), ("silent", "0x0005", (1, 4, 6, 58))):
        assert not readings.reports_free_pages(virtio(tmp_path / name, device, *bits))
    assert not readings.reports_free_pages(tmp_path / "no-virtio")
    (tmp_path / "reports" / "virtio0" / "features").write_text("")
    assert not readings.reports_free_pages(tmp_path / "reports")


@pytest.mark.parametrize(("reported", "severity"), [(True, "note"), (False, "ok")])
def test_memory_that_goes_back_to_the_host_is_told_and_a_condition(
    monkeypatch: pytest.MonkeyPatch, *, reported: bool, severity: str
) -> None:
    monkeypatch.setattr(readings, "reports_free_pages", lambda: reported)
    fact = next(fact for fact in checks.examine() if fact.name == "free memory")
    assert fact.severity == severity
    assert ("faulted in there too" in fact.harm) == reported
    assert conditions.here()["free page reporting"] == ("on" if reported else "off")


def test_what_cannot_be_seen_says_what_it_may_do_and_what_to_do_about_it() -> None:
    for fact in checks.examine():
        if fact.severity in ("warning", "unknown", "note"):
            assert fact.harm and fact.remedy, fact.name


def test_pinning_orders_name_every_allowed_cpu_once() -> None:
    assert readings.cpu_order("none") is None
    for pin in ("compact", "spread"):
        assert sorted(readings.cpu_order(pin) or []) == list(readings.affinity())
