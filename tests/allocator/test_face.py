"""The Python face: the same allocator, by the same names, with Python's errors."""

import json
import os
import subprocess
import sys

import pytest

import allocator
from workloads.preload import preload_path


def run(
    code: str, flavour: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("HAKMEM_")} | environment
    if flavour is not None:
        env["LD_PRELOAD"] = preload_path(str(allocator.library(flavour)))
    return subprocess.run(
        [sys.executable, "-c", f"import allocator, json\n{code}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_block_holds_what_was_written_to_it() -> None:
    block = allocator.malloc(1000)
    allocator.write(block, bytes(range(250)) * 4)
    assert allocator.read(block, 1000) == bytes(range(250)) * 4
    allocator.free(block)


def test_calloc_reads_as_zero_on_reused_memory() -> None:
    block = allocator.malloc(5000)
    allocator.write(block, b"\xff" * 5000)
    allocator.free(block)
    again = allocator.calloc(50, 100)
    assert allocator.read(again, 5000) == bytes(5000)
    allocator.free(again)


def test_realloc_keeps_the_contents_across_boxes() -> None:
    block = allocator.malloc(10)
    allocator.write(block, b"0123456789")
    for size in (100, 2000, 40_000, 200_000, 3_000_000, 50_000_000, 20):
        block = allocator.realloc(block, size)
        assert allocator.read(block, 10) == b"0123456789"
        assert allocator.usable_size(block) >= size
    allocator.free(block)


def test_realloc_to_nothing_is_refused_in_words() -> None:
    block = allocator.malloc(10)
    with pytest.raises(ValueError, match="use free"):
        allocator.realloc(block, 0)
    allocator.free(block)


@pytest.mark.parametrize("alignment", [1, 16, 64, 4096, 1 << 20])
def test_aligned_blocks_begin_at_a_multiple(alignment: int) -> None:
    block = allocator.aligned_alloc(alignment, 100)
    assert block % alignment == 0
    allocator.free(block)


def test_bad_alignment_is_named() -> None:
    with pytest.raises(ValueError, match="48 is not a power of two"):
        allocator.aligned_alloc(48, 100)


def test_exhaustion_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        allocator.malloc(1 << 60)


def test_unknown_flavour_is_named_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"'fast'.*runtime, fixed"):
        allocator.library("fast")


def test_the_interpreter_is_served_only_when_preloaded() -> None:
    assert run("print(allocator.serves())").stdout == "False\n"
    for flavour in allocator.FLAVOURS:
        done = run("print(allocator.serves(), allocator.flavour())", flavour)
        assert done.stdout == f"True {flavour}\n"


def test_configuration_is_read_back_from_the_preloaded_library() -> None:
    done = run(
        "print(json.dumps(allocator.config()))",
        "runtime",
        HAKMEM_REGISTRY="prealloc-seqlock",
        HAKMEM_ROUTE="cascade",
        HAKMEM_BUDGET="5M",
    )
    config = json.loads(done.stdout)
    assert (config["registry"], config["route"], config["budget"]) == (
        "prealloc-seqlock",
        "cascade",
        "5M",
    )


def test_the_constant_library_does_not_read_the_environment() -> None:
    done = run("print(allocator.config()['registry'])", "fixed", HAKMEM_REGISTRY="locked")
    assert done.stdout == "flat\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HAKMEM_REGISTRY", "lockd", "allowed: locked prealloc-locked"),
        ("HAKMEM_BUDGET", "-1", "allowed: auto, or 0 to 64G"),
        ("HAKMEM_THRESHOLD", "1K", "allowed: 512K to 1G"),
        ("HAKMEM_NONSENSE", "1", "known: registry route"),
    ],
)
def test_unknown_settings_are_one_line_and_the_default_holds(
    name: str, value: str, said: str
) -> None:
    done = run("print(allocator.config()['registry'])", "runtime", **{name: value})
    assert done.stdout == "flat\n"
    lines = [line for line in done.stderr.splitlines() if "hakmem" in line]
    assert len(lines) == 1
    assert f"{name}={value}" in lines[0]
    assert said in lines[0]


def test_every_option_has_a_default_it_allows() -> None:
    for option in allocator.OPTIONS:
        assert option.description
        if option.values:
            assert option.default in option.values


def test_counters_say_what_happened() -> None:
    before = allocator.stats()
    blocks = [allocator.malloc(3000) for _ in range(2000)]
    during = allocator.stats()
    for block in blocks:
        allocator.free(block)
    mid = {
        name: next(b for b in s["boxes"] if b["name"] == "mid")
        for name, s in (("before", before), ("during", during))
    }
    gained = mid["during"]["bytes_in_use"] - mid["before"]["bytes_in_use"]
    assert 2000 * 3000 <= gained <= 2000 * 3000 * 1.125
    assert during["committed_bytes"] >= gained
    assert all(lock["acquisitions"] >= lock["waited"] for lock in during["locks"])


def test_trim_gives_pages_back() -> None:
    blocks = [allocator.malloc(100_000) for _ in range(200)]
    for block in blocks:
        allocator.write(block, b"x" * 100_000)
    for block in blocks:
        allocator.free(block)
    assert allocator.trim()
    assert allocator.stats()["dirty_bytes"] == 0
