"""Drives a malloc by random calls beside a model of it; a failure is shrunk to the fewest calls.

python tests/promises/machine.py [LIBRARY [PREFIX]]

LIBRARY is loaded beside the process's own malloc, which serves the interpreter; its functions are
called by their names behind PREFIX (hak_, say). Without one the system's malloc is driven. Exit
code 1 and the calls that lead there if a promise is broken. MTBENCH_MACHINE_EXAMPLES asks for so
many random runs instead of the same few each time.

Each run happens in a child forked before the first call, so that what one run did to the malloc
cannot matter in the next, and a crash is a failure like any other.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

STEPS = 40
EXAMPLES = 25
PATIENCE = 60.0
"""Seconds after which a call counts as hung."""
UNTOUCHED = 77
"""What errno is before each call, and must be after one that succeeds."""
IMPOSSIBLE = (2**63, 2**63 + 4096, 2**64 - 4096, 2**64 - 1)

_size = ctypes.c_size_t
_block = ctypes.c_void_p
SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "malloc": (_block, (_size,)),
    "calloc": (_block, (_size, _size)),
    "realloc": (_block, (_block, _size)),
    "reallocarray": (_block, (_block, _size, _size)),
    "aligned_alloc": (_block, (_size, _size)),
    "memalign": (_block, (_size, _size)),
    "posix_memalign": (ctypes.c_int, (ctypes.POINTER(_block), _size, _size)),
    "valloc": (_block, (_size,)),
    "pvalloc": (_block, (_size,)),
    "free": (None, (_block,)),
    "usable_size": (_size, (_block,)),
    "trim": (ctypes.c_int, (_size,)),
}
PLAIN = {"usable_size": "malloc_usable_size", "trim": "malloc_trim"}
"""Names without a prefix that are not the prefixed ones without it."""


class Symbol(ctypes.Structure):
    """What dladdr tells (Dl_info)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def home(function: Any) -> int | None:
    """Where the library that a function is in was loaded."""
    symbol = Symbol()
    address = ctypes.cast(function, ctypes.c_void_p)
    ctypes.CDLL(None).dladdr(address, ctypes.byref(symbol))
    base: int | None = symbol.base
    return base


class Library:
    """The functions of one malloc; what it lacks is None."""

    def __init__(self, path: str | None, prefix: str) -> None:
        # DEEPBIND: what it calls of itself is its own, though the process has a malloc already.
        mode = ctypes.DEFAULT_MODE if path is None else os.RTLD_NOW | os.RTLD_DEEPBIND
        loaded = ctypes.CDLL(path, mode=mode, use_errno=True)
        self.functions: dict[str, Any] = {}
        for name, (result, arguments) in SIGNATURES.items():
            symbol = prefix + name if prefix else PLAIN.get(name, name)
            function = getattr(loaded, symbol, None)
            # A lookup goes on in the libraries that it depends on, libc among them.
            if function is not None and home(function) == home(getattr(loaded, prefix + "malloc")):
                function.restype, function.argtypes = result, arguments
                self.functions[name] = function

    def call(self, name: str, *arguments: Any) -> tuple[Any, int]:
        """(result, errno after it); errno was UNTOUCHED before."""
        ctypes.set_errno(UNTOUCHED)
        result = self.functions[name](*arguments)
        return result, ctypes.get_errno()


@dataclass(eq=False)
class Block:
    """What the model knows: `pattern` is what must be read at `address`."""

    address: int
    usable: int
    pattern: bytes


SIZES = st.one_of(
    st.integers(0, 128),
    st.builds(lambda shift, by: (1 << shift) + by, st.integers(3, 16), st.integers(-1, 1)),
    st.integers(0, 40_000),
    st.sampled_from((65_536, 200_001, 524_289, 1_500_000, 3_000_000)),
)
ALIGNMENTS = st.integers(0, 16).map(lambda shift: 1 << shift)
PICK = st.integers(0, 1 << 16)


class Model:
    """The live blocks, in the order they were made, and the calls on them."""

    def __init__(self, library: Library) -> None:
        self.subject = library
        self.live: list[Block] = []
        self.extents: list[tuple[int, int]] = []  # address and length of these, by address
        self.made = 0

    def pick(self, at: int) -> Block:
        """One of the live blocks."""
        return self.live[at % len(self.live)]

    def enter(self, found: tuple[Any, int], size: int, alignment: int, kept: bytes = b"") -> None:
        """A block that a call returned: right in every respect, then written to its end."""
        address, error = found
        assert address, f"refused with errno {error}"
        assert error == UNTOUCHED, f"success changed errno to {error}"
        assert address % max(alignment, 16) == 0, f"a block is not aligned to {alignment}"
        usable, error = self.subject.call("usable_size", address)
        assert usable >= size, f"{usable} bytes are usable of {size}"
        assert error == UNTOUCHED, f"usable_size changed errno to {error}"
        place = bisect.bisect(self.extents, (address, 0))
        for other, length in self.extents[max(place - 1, 0) : place + 1]:
            apart = address + max(usable, 1) <= other or other + max(length, 1) <= address
            assert apart, f"blocks of {usable} and {length} bytes overlap"
        self.extents.insert(place, (address, usable))
        assert ctypes.string_at(address, len(kept)) == kept, (
            "a block lacks the bytes it should have"
        )
        self.made += 1
        word = (self.made * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "little")
        pattern = (word * (usable // 8 + 1))[:usable]
        ctypes.memmove(address, pattern, usable)
        self.live.append(Block(address, usable, pattern))

    def leave(self, block: Block) -> Block:
        """Takes a block out of the model, its bytes checked."""
        found = ctypes.string_at(block.address, block.usable)
        assert found == block.pattern, f"a live block of {block.usable} bytes changed"
        self.live.remove(block)
        self.extents.remove((block.address, block.usable))
        return block

    def take(self, name: str, *arguments: int | None) -> None:
        """malloc, calloc or realloc of nothing."""
        size = arguments[0] if name == "malloc" else arguments[1]
        kept = b""
        if name == "calloc":
            size = (arguments[0] or 0) * (arguments[1] or 0)
            kept = bytes(size)
        self.enter(self.subject.call(name, *arguments), size or 0, 16, kept)

    def take_aligned(self, name: str, alignment: int, size: int) -> None:
        """By one of the functions that align."""
        if name == "posix_memalign":
            out = ctypes.c_void_p()
            code, error = self.subject.call(name, ctypes.byref(out), alignment, size)
            assert code == 0, f"posix_memalign returned {code}"
            self.enter((out.value, error), size, alignment)
        else:
            self.enter(self.subject.call(name, alignment, size), size, alignment)

    def take_pages(self, name: str, size: int) -> None:
        """By valloc, or pvalloc, which rounds up."""
        wanted = size if name == "valloc" else -(-size // 4096) * 4096
        self.enter(self.subject.call(name, size), wanted, 4096)

    def take_many(self, count: int, size: int) -> None:
        """As a loop does."""
        for _ in range(count):
            self.enter(self.subject.call("malloc", size), size, 16)

    def resize(self, at: int, size: int) -> None:
        """The bytes are kept, as many as there is room for."""
        block = self.leave(self.pick(at))
        found = self.subject.call("realloc", block.address, size)
        self.enter(found, size, 16, block.pattern[:size])

    def resize_array(self, at: int, count: int, size: int) -> None:
        """The same."""
        block = self.leave(self.pick(at))
        found = self.subject.call("reallocarray", block.address, count, size)
        self.enter(found, count * size, 16, block.pattern[: count * size])

    def free(self, at: int) -> None:
        """errno stays."""
        block = self.leave(self.pick(at))
        assert self.subject.call("free", block.address)[1] == UNTOUCHED, "free changed errno"

    def free_by_realloc(self, at: int) -> None:
        """What glibc documents."""
        block = self.leave(self.pick(at))
        assert not self.subject.call("realloc", block.address, 0)[0], "realloc(p, 0) gave a block"

    def free_many(self, keep: int, step: int) -> None:
        """All but some, in the order of their age (1) or against it (-1)."""
        for block in self.live[::step][keep:]:
            self.subject.call("free", self.leave(block).address)

    def exchange_in_thread(self, at: int, size: int) -> None:
        """Freed by a thread that then allocates, and ends."""
        block = self.leave(self.pick(at))
        with ThreadPoolExecutor(1) as thread:
            error = thread.submit(self.subject.call, "free", block.address).result()[1]
            found = thread.submit(self.subject.call, "malloc", size).result()
        assert error == UNTOUCHED, "free changed errno"
        self.enter(found, size, 16)

    def free_nothing(self) -> None:
        """Nothing happens."""
        assert self.subject.call("free", None)[1] == UNTOUCHED, "free changed errno"

    def trim(self) -> None:
        """Where there is one."""
        if "trim" in self.subject.functions:
            assert self.subject.call("trim", 0)[0] in (0, 1), "trim is neither 0 nor 1"

    def refused(self, name: str, *arguments: int) -> None:
        """What cannot be."""
        result, error = self.subject.call(name, *arguments)
        assert not result, f"{name} granted the impossible"
        assert error == errno.ENOMEM, f"{name} refused with errno {error}, not ENOMEM"

    def refused_resize(self, at: int, size: int) -> None:
        """The block stays as it was."""
        block = self.pick(at)
        self.refused("realloc", block.address, size)
        found = ctypes.string_at(block.address, block.usable)
        assert found == block.pattern, "a refused realloc changed the block"

    def end(self) -> None:
        """Every block is still as it was written."""
        self.free_many(0, 1)


def serve(library: Library, channel: socket.socket) -> None:
    """The child: a call per line, the number of live blocks or what is broken per line."""
    model = Model(library)
    with channel.makefile("rw") as lines:
        for line in lines:
            name, *arguments = json.loads(line)
            try:
                getattr(model, name)(*arguments)
                answer: Any = len(model.live)
            except AssertionError as error:
                answer = str(error)
            print(json.dumps(answer), file=lines, flush=True)


class Malloc(RuleBasedStateMachine):
    """Chooses the calls. Knows of the blocks only how many there are."""

    subject: Library

    def __init__(self) -> None:
        super().__init__()
        ours, theirs = socket.socketpair()
        self.child = os.fork()
        if self.child == 0:
            ours.close()
            try:
                serve(self.subject, theirs)
            finally:
                os._exit(0)
        theirs.close()
        ours.settimeout(PATIENCE)
        self.lines = ours.makefile("rw")
        ours.close()
        self.live = 0
        self.failed = False

    def do(self, name: str, *arguments: int | str | None) -> None:
        """One call in the child; fails where that fails."""
        said = ""
        try:
            print(json.dumps([name, *arguments]), file=self.lines, flush=True)
            said = self.lines.readline()
        except TimeoutError:
            os.kill(self.child, signal.SIGKILL)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer: int | str = json.loads(said) if said else self.ended()
        self.failed = isinstance(answer, str)
        assert not isinstance(answer, str), answer
        self.live = answer

    def ended(self) -> str:
        """How the child did."""
        _, status = os.waitpid(self.child, 0)
        self.child = 0
        code = os.waitstatus_to_exitcode(status)
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    @rule(size=SIZES)
    def malloc(self, size: int) -> None:
        self.do("take", "malloc", size)

    @rule(count=st.integers(1, 5), size=SIZES)
    def calloc(self, count: int, size: int) -> None:
        self.do("take", "calloc", count, size)

    @rule(size=SIZES)
    def realloc_of_nothing(self, size: int) -> None:
        self.do("take", "realloc", None, size)

    @rule(alignment=ALIGNMENTS, size=SIZES, name=st.sampled_from(("aligned_alloc", "memalign")))
    def aligned(self, name: str, alignment: int, size: int) -> None:
        self.do("take_aligned", name, alignment, size)

    @rule(alignment=ALIGNMENTS.filter(lambda a: a >= 8), size=SIZES)
    def posix_memalign(self, alignment: int, size: int) -> None:
        self.do("take_aligned", "posix_memalign", alignment, size)

    @rule(size=SIZES, name=st.sampled_from(("valloc", "pvalloc")))
    def pages(self, name: str, size: int) -> None:
        self.do("take_pages", name, size)

    @rule(count=st.sampled_from((2, 30, 600)), size=st.sampled_from((0, 40, 500, 3000, 9000)))
    def many(self, count: int, size: int) -> None:
        self.do("take_many", count, size)

    @rule(at=PICK, size=SIZES.filter(bool))
    @precondition(lambda self: self.live)
    def realloc(self, at: int, size: int) -> None:
        self.do("resize", at, size)

    @rule(at=PICK, count=st.integers(1, 5), size=SIZES.filter(bool))
    @precondition(lambda self: self.live and "reallocarray" in self.subject.functions)
    def reallocarray(self, at: int, count: int, size: int) -> None:
        self.do("resize_array", at, count, size)

    @rule(at=PICK)
    @precondition(lambda self: self.live)
    def free(self, at: int) -> None:
        self.do("free", at)

    @rule(at=PICK)
    @precondition(lambda self: self.live)
    def free_by_realloc(self, at: int) -> None:
        self.do("free_by_realloc", at)

    @rule(at=PICK, size=SIZES)
    @precondition(lambda self: self.live)
    def exchange_in_thread(self, at: int, size: int) -> None:
        self.do("exchange_in_thread", at, size)

    @rule(keep=st.integers(0, 30), step=st.sampled_from((1, -1)))
    @precondition(lambda self: self.live)
    def free_many(self, keep: int, step: int) -> None:
        self.do("free_many", keep, step)

    @rule()
    def free_nothing(self) -> None:
        self.do("free_nothing")

    @rule()
    def trim(self) -> None:
        self.do("trim")

    @rule(size=st.sampled_from(IMPOSSIBLE), name=st.sampled_from(("malloc", "valloc", "pvalloc")))
    def impossible(self, name: str, size: int) -> None:
        self.do("refused", name, size)

    @rule(count=st.sampled_from((2**32, 2**63, 2**64 - 1)), size=st.sampled_from((2**32, 2**63)))
    def impossible_product(self, count: int, size: int) -> None:
        self.do("refused", "calloc", count, size)

    @rule(at=PICK, size=st.sampled_from(IMPOSSIBLE))
    @precondition(lambda self: self.live)
    def impossible_realloc(self, at: int, size: int) -> None:
        self.do("refused_resize", at, size)

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.do("end")
        finally:
            with contextlib.suppress(OSError):
                self.lines.close()
            if self.child:
                os.waitpid(self.child, 0)


def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    Malloc.subject = Library(arguments[0] if arguments else None, "".join(arguments[1:2]))
    longer = os.environ.get("MTBENCH_MACHINE_EXAMPLES")
    how = settings(
        max_examples=int(longer) if longer else EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=not longer,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        # No search for explanations: shrunk is short enough.
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    try:
        run_state_machine_as_test(Malloc, settings=how)
    except AssertionError as error:
        print(f"broken: {error}", *getattr(error, "__notes__", ()), sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
