"""Names of allocators: what is accepted, what is refused and how."""

from pathlib import Path

import pytest

import allocator as hakmem
from mtbench.errors import UsageError
from mtbench.mallocs import allocators
from mtbench.mallocs.ladder import LADDER, REGISTRIES


def test_the_system_malloc_and_null_are_always_there() -> None:
    labels = [entry.label for entry in allocators.installed()]
    assert labels[0] == "system" and labels[-1] == "null"
    assert {"hakmem", "hakmem-fixed"} <= set(labels)


def test_options_of_hakmem_stay_with_their_allocator() -> None:
    assert allocators.split("system,hakmem:registry=locked,route=cascade,null") == [
        "system",
        "hakmem:registry=locked,route=cascade",
        "null",
    ]
    assert allocators.split("hakmem:registry=locked,mine=/x.so") == [
        "hakmem:registry=locked",
        "mine=/x.so",
    ]


def test_options_become_environment_and_the_label_is_what_was_typed() -> None:
    found = allocators.resolve("hakmem:registry=locked,route=cascade")
    assert found.environment == {"HAKMEM_REGISTRY": "locked", "HAKMEM_ROUTE": "cascade"}
    assert found.label == "hakmem:registry=locked,route=cascade"
    assert found.path is not None and found.path.endswith("libhakmem.so")


def test_every_declared_option_value_resolves() -> None:
    for option in hakmem.OPTIONS:
        for value in option.values:
            allocators.resolve(f"hakmem:{option.name}={value}")


def test_the_ladder_is_every_registry_in_the_order_of_the_library_and_each_rung_resolves() -> None:
    (registry,) = [option for option in hakmem.OPTIONS if option.name == "registry"]
    assert registry.values == REGISTRIES
    assert all(allocators.resolve(step.label) for step in LADDER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("malloc", "accepted: system, hakmem"),
        ("hakmem:", "accepted: "),
        ("hakmem:colour=red", "unknown hakmem option 'colour=red'; accepted: "),
        ("hakmem:registry=red", "cannot be 'red'; accepted: locked"),
        ("hakmem-fixed:registry=flat", "set options on hakmem"),
        ("system:x=1", "unknown allocator"),
        ("mine=/nowhere/lib.so", "no library at /nowhere/lib.so"),
        ("=/x.so", "name ''"),
        ("a b=/x.so", "name 'a b'"),
        (f"mine={__file__}", "not a shared library"),
        ("mine=/proc/self/mem", "/proc/self/mem: Input/output error"),
    ],
)
def test_a_bad_name_is_refused_in_one_line_with_what_is_accepted(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        allocators.resolve(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_that_hakmem_does_not_take_is_refused_before_measuring() -> None:
    with pytest.raises(UsageError, match="budget cannot be 'banana'; accepted: "):
        allocators.identify([allocators.resolve("hakmem:budget=banana")])
    allocators.identify([allocators.resolve("hakmem:budget=64M")])
    allocators.identify([allocators.resolve("hakmem:budget=32768K")])


def test_nothing_of_another_allocator_reaches_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/other.so")
    monkeypatch.setenv("HAKMEM_REGISTRY", "locked")
    environment = allocators.worker_environment(allocators.resolve("system"))
    assert "LD_PRELOAD" not in environment and "HAKMEM_REGISTRY" not in environment
    environment = allocators.worker_environment(allocators.resolve("hakmem:registry=flat"))
    assert environment["HAKMEM_REGISTRY"] == "flat"


def test_every_installed_allocator_takes_effect_and_has_a_hash() -> None:
    for entry in allocators.identify(allocators.installed()):
        assert len(entry.sha256) == 64
        assert entry.version or entry.kind == "null"
        assert entry.path is None or Path(entry.path).is_absolute()


def test_a_library_of_another_machine_is_refused_with_both_machines(tmp_path: Path) -> None:
    other = tmp_path / "libother.so"
    for head, built in (
        (b"\x7fELF\x01\x01\x01" + bytes(9) + b"\3\0\3\0", "x86, 32 bits"),
        (b"\x7fELF\x02\x02\x01" + bytes(9) + b"\0\3\0\x16", "s390, 64 bits"),
    ):
        other.write_bytes(head)
        with pytest.raises(UsageError, match=f"is built for {built}; this Python is"):
            allocators.resolve(f"other={other}")


def test_what_the_loader_says_of_a_library_reaches_the_user(tmp_path: Path) -> None:
    cut = tmp_path / "libcut.so"
    cut.write_bytes(Path(allocators.resolve("hakmem").path or "").read_bytes()[:40])
    with pytest.raises(UsageError, match=r"ERROR: ld\.so: object .*libcut.*ignored"):
        allocators.identify([allocators.resolve(f"cut={cut}")])


def test_relative_library_folders_are_those_of_the_user_in_every_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", "deps::/lib;more")
    found = allocators.worker_environment(allocators.resolve("system"))["LD_LIBRARY_PATH"]
    assert found == f"{tmp_path}/deps:{tmp_path}:/lib:{tmp_path}/more"
