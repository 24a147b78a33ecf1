"""hakmem from Python: the library files, their switches, and the allocator itself.

The functions `malloc` to `usable_size` call hakmem directly, whatever malloc the interpreter runs
on. In a process that was started with one of hakmem's libraries preloaded, everything here answers
for that library: the dynamic linker binds the extension to the first one loaded.

Importing this package costs a few milliseconds; the extension is loaded on first use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FLAVOURS",
    "OPTIONS",
    "Build",
    "Option",
    "Reading",
    "aligned_alloc",
    "build",
    "calloc",
    "config",
    "flavour",
    "free",
    "library",
    "malloc",
    "read",
    "realloc",
    "restart_peaks",
    "serves",
    "stats",
    "trim",
    "usable_size",
    "write",
]

FLAVOURS: Mapping[str, str] = {"runtime": "libhakmem.so", "fixed": "libhakmem-fixed.so"}
"""Flavours of the library and their file names: switches read at run time, or compiled in."""


class Option(NamedTuple):
    """A switch of hakmem.

    `values` are the texts that it takes, empty where it is a number; `allowed` says so in words.
    """

    name: str
    values: tuple[str, ...]
    allowed: str
    default: str
    description: str

    @property
    def environment(self) -> str:
        """The name of the environment variable that sets it."""
        return f"HAKMEM_{self.name.upper()}"


class Build(NamedTuple):
    """What a library was built from: SHA-256 over its sources and flags, and the flags."""

    source_hash: str
    flags: str


def _extension() -> Any:
    from allocator import _hakmem

    return _hakmem


def _text(pointer: Any) -> str:
    return str(_extension().ffi.string(pointer).decode())


def library(flavour: str = "runtime") -> Path:
    """Returns the path of the library to preload; `flavour` is a key of `FLAVOURS`.

    Raises ValueError if there is no such flavour, FileNotFoundError if the package was never built.
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"unknown flavour {flavour!r}; choose from {', '.join(FLAVOURS)}")
    from importlib import resources

    path = Path(str(resources.files("allocator").joinpath(FLAVOURS[flavour])))
    if not path.is_file():
        # An editable install keeps built files beside the extension.
        path = Path(_extension().__file__).with_name(FLAVOURS[flavour])
    if not path.is_file():
        raise FileNotFoundError(
            f"{FLAVOURS[flavour]} is not beside the allocator package; reinstall"
        )
    return path


def _options() -> tuple[Option, ...]:
    module = _extension()
    lib, buffer = module.lib, module.ffi.new("char[64]")
    options: list[Option] = []
    while lib.hak_config_name(len(options)) != module.ffi.NULL:
        index = len(options)
        allowed = _text(lib.hak_config_allowed(index))
        numeric = " to " in allowed
        options.append(
            Option(
                name=_text(lib.hak_config_name(index)),
                values=() if numeric else tuple(allowed.split()),
                allowed=allowed if numeric else allowed.replace(" ", ", "),
                default=_text(lib.hak_config_default(index, buffer, 64)),
                description=_text(lib.hak_config_help(index)),
            )
        )
    return tuple(options)


OPTIONS: tuple[Option, ...]
"""Every switch, as the library declares it."""


def __getattr__(name: str) -> Any:
    if name == "OPTIONS":
        value = globals()["OPTIONS"] = _options()
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build() -> Build:
    """Returns what the library that answers here was built from."""
    lib = _extension().lib
    return Build(_text(lib.hak_source_hash()), _text(lib.hak_build_flags()))


def flavour() -> str:
    """Returns the flavour of the library that answers here: "runtime" or "fixed"."""
    return _text(_extension().lib.hak_flavour())


def config() -> dict[str, str]:
    """Returns the switches in force, by name, read back from the library."""
    module = _extension()
    buffer = module.ffi.new("char[64]")
    return {
        option.name: _text(module.lib.hak_config_value(index, buffer, 64))
        for index, option in enumerate(_options())
    }


def serves() -> bool:
    """Returns whether a block of this process's own malloc comes from hakmem, which counts them."""
    import ctypes

    process = ctypes.CDLL(None)
    process.malloc.restype = ctypes.c_void_p
    process.malloc.argtypes = (ctypes.c_size_t,)
    process.free.argtypes = (ctypes.c_void_p,)
    before = stats()
    block = process.malloc(before["huge_threshold"] + 1)
    served = _drawn(stats()) > _drawn(before)
    process.free(block)
    return served


def _drawn(found: dict[str, Any]) -> int:
    return sum(box["allocations"] for box in found["boxes"] if box["name"] == "huge")


def _plain(value: Any, ffi: Any) -> Any:
    kind = ffi.typeof(value) if isinstance(value, ffi.CData) else None
    if kind is None:
        return value
    if kind.kind == "array":
        return ffi.string(value).decode()
    return {name: _plain(getattr(value, name), ffi) for name, _ in kind.fields}


class Reading:
    """The allocator's counters at one moment: taken in some 50 us, put into words later."""

    def __init__(self) -> None:
        self._raw = _extension().ffi.new("struct hak_stats *")

    def take(self) -> None:
        """Reads all counters now.

        Raises RuntimeError if the library is of another version.
        """
        module = _extension()
        if module.lib.hak_stats(self._raw, module.ffi.sizeof("struct hak_stats")) != 0:
            raise RuntimeError("the loaded hakmem counts in another format than this package reads")

    def words(self) -> dict[str, Any]:
        """Returns what `stats` returns, as of the moment of `take`."""
        return _words(self._raw)


def restart_peaks() -> None:
    """Forgets each lock's longest wait and most waiters: `stats` then tells those since."""
    _extension().lib.hak_stats_restart_peaks()


def stats() -> dict[str, Any]:
    """Returns the allocator's counters; ``struct hak_stats`` in hakmem.h has their units.

    "boxes" and "locks" are lists of dictionaries; locks that were never taken are left out.
    """
    reading = Reading()
    reading.take()
    return reading.words()


def _words(raw: Any) -> dict[str, Any]:
    ffi = _extension().ffi
    result = {
        name: getattr(raw, name)
        for name, field in ffi.typeof("struct hak_stats").fields
        if field.type.kind == "primitive"
    }
    result["boxes"] = [_plain(raw.box[i], ffi) for i in range(raw.box_count)]
    result["locks"] = [_plain(raw.lock[i], ffi) for i in range(raw.lock_count)]
    return result


def _pointer(address: int) -> Any:
    return _extension().ffi.cast("void *", address)


def _address(pointer: Any) -> int:
    """The block's address; MemoryError where C would return NULL."""
    address = int(_extension().ffi.cast("uintptr_t", pointer))
    if address == 0:
        raise MemoryError("hakmem has no memory for this request")
    return address


def malloc(size: int) -> int:
    """Returns the address of a block of `size` bytes.

    Raises MemoryError if there is none.
    """
    return _address(_extension().lib.hak_malloc(size))


def calloc(count: int, size: int) -> int:
    """Returns the address of `count` x `size` zero bytes.

    Raises MemoryError if there is no such block.
    """
    return _address(_extension().lib.hak_calloc(count, size))


def realloc(address: int, size: int) -> int:
    """Resizes a block to `size` bytes and returns its address, which may be another.

    Raises MemoryError if there is none so large (the block is then as it was), and ValueError if
    `size` is not positive: use `free`.
    """
    if size <= 0:
        raise ValueError("size must be positive; use free to free a block")
    return _address(_extension().lib.hak_realloc(_pointer(address), size))


def aligned_alloc(alignment: int, size: int) -> int:
    """Returns the address, a multiple of `alignment`, of a block of `size` bytes.

    Raises MemoryError if there is none, and ValueError if `alignment` is no power of two.
    """
    if alignment <= 0 or alignment & (alignment - 1):
        raise ValueError(f"alignment {alignment} is not a power of two")
    return _address(_extension().lib.hak_aligned_alloc(alignment, size))


def free(address: int) -> None:
    """Frees a block of this module's; address 0 is nothing."""
    _extension().lib.hak_free(_pointer(address))


def usable_size(address: int) -> int:
    """Returns how many bytes of a block may be used; 0 for address 0."""
    return int(_extension().lib.hak_usable_size(_pointer(address)))


def trim() -> bool:
    """Gives free pages back to the system, and returns whether there were any."""
    return bool(_extension().lib.hak_trim())


def write(address: int, data: bytes) -> None:
    """Copies `data` into a block. Nothing checks that it fits: see `usable_size`."""
    ffi = _extension().ffi
    ffi.memmove(_pointer(address), data, len(data))


def read(address: int, size: int) -> bytes:
    """Returns the first `size` bytes of a block. Nothing checks that it has so many."""
    ffi = _extension().ffi
    return bytes(ffi.buffer(_pointer(address), size))
