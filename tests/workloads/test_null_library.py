"""The malloc that does nothing still keeps what programs need to run on it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import workloads
from workloads.preload import preload_path

PROGRAM = """
import ctypes, sys, threading
c = ctypes.CDLL(None)
P, S = ctypes.c_void_p, ctypes.c_size_t
for name, result, *arguments in (
    ("malloc", P, S), ("calloc", P, S, S), ("realloc", P, P, S), ("reallocarray", P, P, S, S),
    ("memalign", P, S, S), ("aligned_alloc", P, S, S), ("valloc", P, S), ("pvalloc", P, S),
    ("malloc_usable_size", S, P), ("free", None, P),
    ("posix_memalign", ctypes.c_int, ctypes.POINTER(P), S, S),
):
    getattr(c, name).restype, getattr(c, name).argtypes = result, arguments

def check():
    for size in (0, 1, 15, 16, 1000, 65536, 65537, 1 << 20, 50 << 20):
        block = c.malloc(size)
        assert block and block % 16 == 0, size
        assert c.malloc_usable_size(block) >= size
        ctypes.memset(block, 9, size)
        c.free(block)
    assert bytes((ctypes.c_char * 5000).from_address(c.calloc(50, 100))) == bytes(5000)
    block = c.malloc(100)
    ctypes.memset(block, 5, 100)
    block = c.realloc(block, 300)
    assert bytes((ctypes.c_char * 100).from_address(block)) == bytes([5]) * 100
    for shift in range(4, 17):
        assert c.memalign(1 << shift, 100) % (1 << shift) == 0
        assert c.aligned_alloc(1 << shift, 1 << shift) % (1 << shift) == 0
    assert c.valloc(10) % 4096 == 0 and c.pvalloc(10) % 4096 == 0
    made = P()
    assert c.posix_memalign(ctypes.byref(made), 256, 10) == 0 and made.value % 256 == 0
    assert c.posix_memalign(ctypes.byref(made), 3, 10) != 0
    big = (1 << 64) - 8
    assert not c.malloc(big) and not c.calloc(1 << 62, 8) and not c.reallocarray(None, 1 << 62, 8)

check()
thread = threading.Thread(target=lambda: results.append(check()))
results = []
thread.start()
thread.join()
assert results == [None]
assert "libnull" in open("/proc/self/maps").read()
print("kept")
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": preload_path(str(workloads.null_library()))}


def test_null_malloc_keeps_the_interface(environment: dict[str, str]) -> None:
    worker = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert worker.stdout == "kept\n", worker.stderr


def test_null_malloc_never_reuses_what_the_interpreter_holds(environment: dict[str, str]) -> None:
    program = "x = [bytes([i % 256]) * 5000 for i in range(5000)];"
    program += "print(all(b == bytes([i % 256]) * 5000 for i, b in enumerate(x)))"
    worker = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert worker.stdout == "True\n", worker.stderr
