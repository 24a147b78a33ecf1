"""Which library serves malloc in this process, and what it says of itself.

Runs in the worker, and as a script (`python -I -S identity.py ANSWER`) when libraries are
listed, so it imports nothing but ctypes and reached.py beside it.
"""

from __future__ import annotations

import ctypes
import os
import sys

if __name__ == "__main__":  # -I leaves this folder out, and the package would import too much
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    from reached import reached  # type: ignore[import-not-found]
else:
    from mtbench.mallocs.reached import reached

ENTRY_POINTS = (
    "malloc",
    "free",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
)
"""What a preloadable malloc must serve itself: a mix of two mallocs loses blocks."""


class _Location(ctypes.Structure):
    _fields_ = (
        ("path", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


_process = ctypes.CDLL(None)


def where(function: str) -> str:
    """Real path of the library in which the linker finds `function` by name; "" if in none.

    For malloc itself ask `serving`: a name can be found where no call of it ends.
    """
    try:
        address = ctypes.cast(getattr(_process, function), ctypes.c_void_p)
    except AttributeError:
        return ""
    location = _Location()
    _process.dladdr.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Location))
    if not _process.dladdr(address, ctypes.byref(location)) or not location.path:
        return ""
    path: bytes = location.path
    return os.path.realpath(path.decode(errors="surrogateescape"))


def _servers() -> dict[str, set[str]]:
    """Entry point -> the libraries in which its calls end; where nothing calls it, the one in
    which its name is found."""
    found = reached(ENTRY_POINTS)
    return {function: found[function] or {where(function)} for function in ENTRY_POINTS}


def serving() -> str:
    """Real path of the library in which calls of malloc end; "" if that cannot be told."""
    return min(_servers()["malloc"])


def disproof(expected: str | None) -> str | None:
    """Why `expected` (a real path; None: the system's libc) does not serve; None if it does."""
    for function, libraries in _servers().items():
        for found in sorted(libraries):
            if expected is None:
                name = found.rpartition("/")[2]
                if not name.startswith(("libc.so", "libc-", "ld-musl", "libc.musl")):
                    return f"{function} is served by {found or 'nothing'}, not by the system's libc"
            elif found != expected:
                return f"{function} is served by {found or 'nothing'}, not by {expected}"
    return None


def version(path: str) -> str:
    """The version the serving library tells, or what its file name says; "" if neither."""
    for symbol, ask in (
        ("hak_source_hash", _hakmem),
        ("mi_version", _mimalloc),
        ("tc_version", _tcmalloc),
        ("mallctl", _jemalloc),
        ("gnu_get_libc_version", _text_function),
    ):
        if where(symbol) == path and (found := ask(symbol)):
            return found
    _, so, after = path.rpartition(".so.")
    before = path.removesuffix(".so").rpartition("-")[2] if path.endswith(".so") else ""
    return next(filter(_numeric, (after if so else "", before)), "")


def _numeric(text: str) -> bool:
    """Digits and dots, a digit first. No regular expression: `re` would take as long to import
    as this process takes to start."""
    return text[:1].isdigit() and text.isascii() and text.replace(".", "").isdigit()


def _text_function(symbol: str) -> str:
    function = getattr(_process, symbol)
    function.restype = ctypes.c_char_p
    return (function() or b"").decode(errors="replace")


def _hakmem(symbol: str) -> str:
    return _text_function(symbol)[:12]


def _mimalloc(symbol: str) -> str:
    number = int(getattr(_process, symbol)())
    if number >= 10_000:
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
    return f"{number // 100}.{number // 10 % 10}.{number % 10}"


def _tcmalloc(symbol: str) -> str:
    function = getattr(_process, symbol)
    function.restype = ctypes.c_char_p
    parts = ctypes.c_int(), ctypes.c_int(), ctypes.c_char_p()
    return (function(*(ctypes.byref(part) for part in parts)) or b"").decode(errors="replace")


def _jemalloc(symbol: str) -> str:
    text, size = ctypes.c_char_p(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_char_p))
    failed = getattr(_process, symbol)(
        b"version", ctypes.byref(text), ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    return "" if failed or not text.value else text.value.decode(errors="replace").split("-g")[0]


def settings(path: str) -> dict[str, str]:
    """hakmem's switches as the library serving from `path` reads them back; {} for others."""
    if where("hak_config_name") != path:
        return {}
    name, value = _process.hak_config_name, _process.hak_config_value
    name.restype = value.restype = ctypes.c_char_p
    found: dict[str, str] = {}
    buffer = ctypes.create_string_buffer(64)
    while switch := name(len(found)):
        reading = value(len(found), buffer, ctypes.c_size_t(64)) or b""
        found[switch.decode()] = reading.decode(errors="replace")
    return found


def same_setting(asked: str, found: str | None) -> bool:
    """Whether a switch reads back as asked; 64M and 65536K are the same."""
    return found is not None and (asked == found or _amount(asked) == _amount(found) is not None)


def _amount(text: str) -> int | None:
    text = text.strip().upper()
    digits = text.rstrip("KMGT")
    if not digits.isdecimal() or len(text) - len(digits) > 1:
        return None
    return int(digits) << (10 * " KMGT".index(text[len(digits) :] or " "))


if __name__ == "__main__":
    path = serving()
    with open(sys.argv[1], "w") as answer:  # noqa: PTH123 - stdout is the library's to flood
        answer.write(f"{path}\n{version(path)}\n{disproof(path) or ''}\n")
        answer.writelines(f"{name}={value}\n" for name, value in settings(path).items())
