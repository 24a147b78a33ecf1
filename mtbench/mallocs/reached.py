"""In which library the calls of a function end, as the dynamic linker has bound them.

A function's address or name does not tell. A program linked at a fixed address that takes the
address of malloc has an entry of its own for it, and every lookup by name finds that one; a
library that defines malloc under another version is found by name, and no call goes there; behind
an indirect function lies an address that has no name. The slots through which the callers jump
tell, so those are read: here, or in any process whose memory this one may read.

Imports nothing, as a worker is up in milliseconds.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

_AT_PHDR, _AT_PHNUM = 3, 5
_PT_DYNAMIC, _PT_PHDR = 2, 6
_STRTAB, _SYMTAB, _RELA, _RELASZ, _STRSZ = 5, 6, 7, 8, 10
_PLTRELSZ, _DEBUG, _JMPREL, _RELACOUNT = 2, 21, 23, 0x6FFFFFF9
_RELA_BYTES, _SYMBOL_BYTES = 24, 24


def reached(functions: Iterable[str], pid: int | str = "self") -> dict[str, set[str]]:
    """Function -> real paths of the libraries in which its calls end, empty where nothing calls it.

    Calls that the linker has not bound yet say nothing, nor do calls inside the library that
    defines the function. All are empty for a statically linked program, and for one whose memory
    cannot be read.
    """
    wanted = set(functions)
    found: dict[str, set[str]] = {function: set() for function in wanted}
    callers: dict[str, set[str]] = {function: set() for function in wanted}
    try:
        memory = _Memory(pid)
    except OSError:
        return found
    try:
        for function, caller, address in _slots(memory, wanted):
            found[function].add(memory.owner(address))
            callers[function].add(caller)
    except (OSError, struct.error):
        pass  # ended, or replaced its program, while it was read
    finally:
        memory.close()
    # A slot that leads into a caller is not bound yet, or leads to a fixed program's own entry,
    # which jumps on through that program's slot.
    return {function: found[function] - callers[function] - {""} for function in wanted}


class _Memory:
    """The memory of one process, and which file each part of it comes from."""

    def __init__(self, pid: int | str) -> None:
        self._folder = f"/proc/{pid}"
        self._parts: list[tuple[int, int, str]] = []
        with open(f"{self._folder}/maps", "rb") as file:  # noqa: PTH123 - pathlib costs 8 ms
            for line in file:
                fields = line.rstrip(b"\n").split(None, 5)
                if len(fields) == 6:
                    start, end = fields[0].split(b"-")
                    path = fields[5].decode(errors="surrogateescape")
                    self._parts.append((int(start, 16), int(end, 16), path))
        self._file = os.open(f"{self._folder}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._file)

    def owner(self, address: int) -> str:
        """Path of the file mapped at an address; "" for none."""
        for start, end, path in self._parts:
            if start <= address < end:
                return path
        return ""

    def read(self, address: int, size: int) -> bytes:
        """Raises OSError or struct.error where that cannot be read."""
        data = os.pread(self._file, size, address)
        if len(data) < size:
            raise struct.error("cut short")
        return data

    def words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"={count}Q", self.read(address, 8 * count))

    def link_maps(self) -> Iterator[tuple[int, int]]:
        """Where each loaded object lies, and where its dynamic section does."""
        with open(f"{self._folder}/auxv", "rb") as file:  # noqa: PTH123
            vector = file.read()
        facts = dict(struct.iter_unpack("=2Q", vector[: len(vector) // 16 * 16]))
        headers = facts[_AT_PHDR]
        base, section = 0, 0
        for kind, _, _, at, *_ in struct.iter_unpack(
            "=2I6Q", self.read(headers, 56 * facts[_AT_PHNUM])
        ):
            if kind == _PT_PHDR:
                base = headers - at
            elif kind == _PT_DYNAMIC:
                section = at
        debug = self.dynamic(base + section).get(_DEBUG, 0) if section else 0
        entry = self.words(debug, 2)[1] if debug else 0
        while entry:
            base, _, section, entry = self.words(entry, 4)
            yield base, section

    def dynamic(self, address: int) -> dict[int, int]:
        """The dynamic section that begins at an address."""
        found: dict[int, int] = {}
        while True:
            tag, value = self.words(address, 2)
            if tag == 0:
                return found
            found[tag] = value
            address += 16


def _slots(memory: _Memory, wanted: set[str]) -> Iterator[tuple[str, str, int]]:
    """Function, path of the object that calls it, and the address its slot leads to."""
    for base, section in memory.link_maps():
        facts = memory.dynamic(section)

        def at(tag: int, base: int = base, facts: dict[int, int] = facts) -> int:
            # glibc has made these addresses absolute, musl and the kernel's own object have not.
            value = facts.get(tag, 0)
            return value if value >= base else value + base

        texts = memory.read(at(_STRTAB), facts.get(_STRSZ, 0))
        named = {place: name for name in wanted for place in _places(texts, name.encode() + b"\0")}
        if not named:
            continue
        relative = _RELA_BYTES * facts.get(_RELACOUNT, 0)
        slots = b""
        for table, size in (
            (at(_RELA) + relative, facts.get(_RELASZ, 0) - relative),
            (at(_JMPREL), facts.get(_PLTRELSZ, 0)),
        ):
            slots += memory.read(table, size) if size > 0 else b""
        # Thousands of slots and symbols: whole columns are read at once.
        places, infos = (memoryview(slots).cast("Q")[column::3].tolist() for column in (0, 1))
        count = 1 + (max(infos, default=0) >> 32)
        symbols = memoryview(memory.read(at(_SYMTAB), _SYMBOL_BYTES * count))
        sections = symbols.cast("H")[3::12].tolist()
        called = {
            symbol: named[name]
            for symbol, name in enumerate(symbols.cast("I")[0::6].tolist())
            if name in named and not sections[symbol]
        }
        for index in [index for index, info in enumerate(infos) if info >> 32 in called]:
            address = memory.words(base + places[index], 1)[0]
            yield called[infos[index] >> 32], memory.owner(section), address


def _places(text: bytes, part: bytes) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)
