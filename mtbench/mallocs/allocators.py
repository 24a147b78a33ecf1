"""Which mallocs there are: found on the machine, named by the user, or hakmem with options.

Finding costs no process start; `identify` starts one preloaded interpreter for each allocator,
the same way a trial does, and so also proves that a library takes effect.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import allocator as hakmem
from mtbench.errors import UsageError
from mtbench.mallocs.identity import same_setting
from workloads.preload import preload_path

PEERS: dict[str, tuple[str, ...]] = {
    "jemalloc": ("libjemalloc.so",),
    "tcmalloc": ("libtcmalloc_minimal.so", "libtcmalloc.so"),
    "mimalloc": ("libmimalloc.so", "libmimalloc-secure.so"),
    "tbbmalloc": ("libtbbmalloc_proxy.so",),
    "snmalloc": ("libsnmallocshim.so",),
    "rpmalloc": ("librpmallocwrap.so", "librpmalloc.so"),
}
"""Peer -> file names to look for through the linker's cache, best first."""

FLAVOURS = {"hakmem": "runtime", "hakmem-fixed": "fixed"}
RESERVED = ("system", "null", *FLAVOURS, "all")
"""Names that mean something of their own: no library can be given one."""


@dataclass(frozen=True)
class Allocator:
    """A malloc under test.

    label: unique name, what the user typed. kind: "system", "null", "hakmem" or "peer".
    path: real path of the library to preload, None for the system's own. environment: variables
    set for the worker. version, sha256: filled in by `identify`.
    """

    label: str
    kind: str
    path: str | None
    environment: dict[str, str] = field(default_factory=dict)
    version: str = ""
    sha256: str = ""


@lru_cache(maxsize=1)
def _linker_cache() -> dict[str, str]:
    """File name -> path of each library the dynamic linker knows for this architecture."""
    found: dict[str, str] = {}
    for command in ("ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            output = subprocess.run(
                [command, "-p"], capture_output=True, text=True, check=True, timeout=10
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        for name, path in re.findall(r"^\s*(\S+) \(.*?\) => (\S+)$", output, re.MULTILINE):
            found.setdefault(name, path)
        break
    return found


def _installed(names: Iterable[str]) -> str | None:
    """The first library found under one of `names`, whatever version follows the name."""
    for name in names:
        for candidate, path in sorted(_linker_cache().items()):
            tail = candidate[len(name) :]
            if candidate.startswith(name) and (not tail or tail[0] == ".") and Path(path).exists():
                return os.path.realpath(path)
    return None


def _from_packages() -> str | None:
    """libmimalloc of the PyPI package `cmeel-mimalloc`, if it is installed here."""
    for folder in sys.path:
        library = Path(folder) / "cmeel.prefix" / "lib" / "libmimalloc.so"
        if library.exists():
            return os.path.realpath(library)
    return None


def peers() -> list[Allocator]:
    """Every installed malloc that is not ours, without versions."""
    found = [
        Allocator(name, "peer", path)
        for name, files in PEERS.items()
        if (path := _installed(files)) is not None
    ]
    packaged = _from_packages()
    if packaged is not None:
        found.append(Allocator("mimalloc-pypi", "peer", packaged))
    return found


def _flavour(label: str) -> Allocator:
    try:
        path = hakmem.library(FLAVOURS[label])
    except (OSError, LookupError, ImportError, AttributeError) as error:
        raise UsageError(
            f"{label} is not built here ({error}); install with: pip install ."
        ) from error
    return Allocator(label, "hakmem", os.path.realpath(path))


def _null() -> Allocator:
    import workloads

    return Allocator("null", "null", os.path.realpath(workloads.null_library()))


def installed() -> list[Allocator]:
    """Everything that can run here, in the order reports show it."""
    found = [Allocator("system", "system", None)]
    for label in FLAVOURS:
        with suppress(UsageError):
            found.append(_flavour(label))
    return [*found, *peers(), _null()]


def hakmem_options() -> tuple[hakmem.Option, ...]:
    """hakmem's switches as the library declares them; none where it is not built."""
    try:
        return hakmem.OPTIONS
    except ImportError:
        return ()


def pieces(text: str) -> list[str]:
    r"""The parts of a comma-separated list; a comma that is part of one is written `\,`.

    Raises UsageError for a part that is empty, as an unset variable leaves it.
    """
    found = [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text)]
    if not all(found):
        raise UsageError(f"list '{text}' has an empty part; is a variable of the shell not set?")
    return found


_VARIABLE = re.compile(r"([A-Z_][A-Z0-9_]*)=(.*)", re.DOTALL)
_OURS = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH")
"""What decides which malloc serves: not a matter of its environment."""


def split(text: str) -> list[str]:
    """Cut a comma-separated list; `hakmem:registry=locked,route=cascade` stays whole, and so does
    `jemalloc,MALLOC_CONF=narenas:1`."""
    names = {option.name for option in hakmem_options()}
    parts: list[str] = []
    for piece in pieces(text):
        key = piece.partition("=")[0]
        variable = _VARIABLE.fullmatch(piece)
        if parts and ":" in parts[-1] and "=" in piece and key in names:
            parts[-1] += f",{piece}"
        elif parts and variable and not os.path.isfile(variable[2]):  # noqa: PTH113 - as in `peer`
            parts[-1] += f",{piece}".replace(",", "\\,")
        else:
            parts.append(piece)
    return parts


def resolve(text: str) -> Allocator:
    """One allocator from what the user typed.

    `NAME=ALLOCATOR` gives another name to one that is known; `,VARIABLE=VALUE` behind either is set
    for what it serves.

    Raises UsageError: unknown name or option, a library that does not exist.
    """
    text, *settings = re.split(r"\\,(?=[A-Z_][A-Z0-9_]*=)", text)
    if settings:
        return _with_environment(text, settings)
    name, equals, path = text.partition("=")
    if equals and ":" not in name:
        return _renamed(name, path) if _is_known(path) else peer(name, path)
    base, colon, options = text.partition(":")
    if base in FLAVOURS:
        chosen = _flavour(base)
        return replace(chosen, label=text, environment=_options(base, options)) if colon else chosen
    if base == "system" and not colon:
        return Allocator("system", "system", None)
    if base == "null" and not colon:
        return _null()
    for entry in peers():
        if entry.label == text:
            return entry
    known = [entry.label for entry in installed()]
    if base in PEERS or base == "mimalloc-pypi":
        raise UsageError(
            f"allocator '{base}' is not installed here; installed: {', '.join(known)}"
            if not colon
            else f"allocator '{base}' takes no options; only hakmem does"
        )
    raise UsageError(
        f"unknown allocator '{text}'; accepted: {', '.join(known)}, "
        r"hakmem:OPTION=VALUE[,...], NAME=/path/to/library.so (a comma in it as \,), all"
    )


def _is_known(text: str) -> bool:
    """Whether a text is an allocator's name, with options or without, and no path."""
    base = text.partition(":")[0]
    return base in ("system", "null", *FLAVOURS, *PEERS, "mimalloc-pypi")


def _renamed(label: str, text: str) -> Allocator:
    return replace(resolve(text), label=_label(label))


def _with_environment(text: str, settings: Sequence[str]) -> Allocator:
    """One allocator and `VARIABLE=VALUE` settings. Raises UsageError."""
    chosen = resolve(text)
    given: dict[str, str] = {}
    for setting in settings:
        variable, _, value = setting.replace("\\,", ",").partition("=")
        if variable in _OURS:
            raise UsageError(f"{variable} decides which malloc serves; accepted: NAME=/path/lib.so")
        if variable in given or variable in chosen.environment:
            raise UsageError(f"allocator '{chosen.label}': {variable} is given twice")
        given[variable] = value
    named = "=" in text.partition(":")[0]
    shown = ",".join(f"{variable}={value}" for variable, value in given.items())
    label = chosen.label if named else f"{chosen.label},{shown}"
    return replace(chosen, label=label, environment=chosen.environment | given)


def resolve_all(wanted: Sequence[str | Allocator]) -> list[Allocator]:
    """Every allocator of several comma-separated lists, each once, `all` being all installed; an
    allocator stands for itself.

    Raises UsageError for two of one name.
    """
    found: dict[str, Allocator] = {}
    for each in wanted:
        for entry in [each] if isinstance(each, Allocator) else _named(each):
            known = found.setdefault(entry.label, entry)
            if known != entry:
                raise UsageError(
                    f"two allocators are called '{entry.label}': {known.path} and "
                    f"{entry.path}; give one another name: NAME=/path/to/library.so"
                )
    if not found:
        raise UsageError("no allocator named; accepted: those of `mtbench list allocators`")
    return list(found.values())


def _named(text: str) -> Iterator[Allocator]:
    for part in split(text):
        yield from installed() if part == "all" else [resolve(part)]


def peer(label: str, path: str) -> Allocator:
    """A library of the user's under a name of its own. Raises UsageError for one that cannot be
    preloaded here."""
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - a path that is not there, no error
    label = _label(label)
    if not os.path.isfile(file):  # noqa: PTH113 - also False for a name that is too long
        raise UsageError(f"allocator '{label}': no library at {path}; give the path of a .so file")
    try:
        with file.open("rb") as opened:
            head = opened.read(20)
    except OSError as error:
        raise UsageError(f"allocator '{label}': {path}: {error.strerror}") from None
    if head[:4] != b"\x7fELF":
        raise UsageError(f"allocator '{label}': {path} is not a shared library (ELF)")
    with Path("/proc/self/exe").open("rb") as opened:
        own = opened.read(20)
    if (built := _machine(head)) != (here := _machine(own)):
        raise UsageError(f"allocator '{label}': {path} is built for {built}; this Python is {here}")
    return Allocator(label, "peer", os.path.realpath(file))


def _label(name: str) -> str:
    """A name that a user gives. Raises UsageError for one that cannot be his."""
    if name in RESERVED:
        raise UsageError(
            f"allocator name '{name}' is taken; accepted: any but {', '.join(RESERVED)}"
        )
    if not name or not re.fullmatch(r"[\w.+-]+", name):
        raise UsageError(f"allocator name '{name}' must be letters, digits, '.', '_', '+', '-'")
    return name


def _machine(head: bytes) -> str:
    """What an ELF file is built for, from its first 20 bytes."""
    number = int.from_bytes(head[18:20], "little" if head[5:6] == b"\1" else "big")
    name = _MACHINES.get(number, f"ELF machine {number}")
    return f"{name}, {'32' if head[4:5] == _ELF_32 else '64'} bits"


_ELF_32 = b"\1"
_MACHINES = {
    3: "x86",
    21: "ppc64",
    22: "s390",
    40: "arm",
    62: "x86-64",
    183: "aarch64",
    243: "riscv",
}


def _options(base: str, text: str) -> dict[str, str]:
    """HAKMEM_* variables of `registry=locked,route=cascade`, each checked against the table."""
    if base == "hakmem-fixed":
        raise UsageError("hakmem-fixed has its options built in; set options on hakmem")
    table = {option.name: option for option in hakmem_options()}
    chosen: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        option = table.get(name)
        if option is None or not equals:
            raise UsageError(
                f"unknown hakmem option '{part}'; accepted: {', '.join(sorted(table))}"
            )
        if option.environment in chosen:
            raise UsageError(f"hakmem option {name} is given twice in '{base}:{text}'")
        if option.values and value not in option.values:
            raise UsageError(
                f"hakmem option {name} cannot be '{value}'; accepted: {', '.join(option.values)}"
            )
        chosen[option.environment] = value
    return chosen


def worker_environment(chosen: Allocator, beside: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a process that `chosen` serves; nothing of another allocator in it.
    beside: paths of libraries to preload with it, where it is preloaded itself. They come first:
    libc, which is the system's malloc, has their names too."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LD_PRELOAD", "PYTHONDONTWRITEBYTECODE", "PYTHONMALLOC", "PYTHONPROFILE")
        and not name.startswith("HAKMEM_")
    }
    environment |= chosen.environment
    if folders := environment.get("LD_LIBRARY_PATH"):
        # A trial runs in another folder, where a relative one would find something else.
        environment["LD_LIBRARY_PATH"] = ":".join(map(os.path.abspath, re.split("[:;]", folders)))
    if chosen.path is not None:
        environment["LD_PRELOAD"] = " ".join(map(preload_path, (*beside, chosen.path)))
    return environment


@lru_cache(maxsize=64)
def file_hash(path: str) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def identify(chosen: Sequence[Allocator], *, timeout_s: float = 20.0) -> list[Allocator]:
    """The same allocators with version and hash, each proved to take effect when preloaded.

    Raises UsageError for a library that is no malloc, crashes or hangs at start, or is not what
    serves malloc when preloaded.
    """
    script = str(Path(__file__).with_name("identity.py"))
    answers = [os.memfd_create("mtbench-identity") for _ in chosen]
    started = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", script, f"/proc/{os.getpid()}/fd/{answer}"],
            env=worker_environment(entry),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for entry, answer in zip(chosen, answers, strict=True)
    ]
    found: list[Allocator] = []
    try:
        for entry, process, answer in zip(chosen, started, answers, strict=True):
            try:
                _, complaint = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                raise UsageError(
                    f"allocator '{entry.label}': {entry.path} hangs when preloaded"
                ) from None
            output = os.pread(answer, 1 << 16, 0)
            found.append(_identified(entry, process.returncode, output, complaint))
    finally:
        for answer in answers:
            os.close(answer)
        for process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return found


def _identified(entry: Allocator, code: int, output: bytes, complaint: bytes) -> Allocator:
    lines = output.decode(errors="replace").split("\n")
    if code != 0 or len(lines) < 3:
        words = complaint.decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise UsageError(
            f"allocator '{entry.label}': a process it serves does not start ({how})"
            + (f": {words[-1]}" if words else "")
        )
    path, version, mixed = lines[:3]
    if entry.path is not None and path != entry.path:
        refused = re.search(r"^ERROR: ld\.so: .*", complaint.decode(errors="replace"), re.MULTILINE)
        raise UsageError(
            f"allocator '{entry.label}': {entry.path} does not take effect when preloaded "
            f"(malloc is served by {path or 'nothing'}); "
            + (refused[0] if refused else "a library that defines malloc is needed")
        )
    if mixed:
        raise UsageError(f"allocator '{entry.label}' is no whole malloc: {mixed}")
    _check_settings(entry, dict(line.split("=", 1) for line in lines[3:] if "=" in line))
    return replace(entry, version=version, sha256=file_hash(path))


def _check_settings(entry: Allocator, found: dict[str, str]) -> None:
    """Refuse an option that the library did not take: the trial would measure something else."""
    for option in hakmem_options() if entry.environment else ():
        asked = entry.environment.get(option.environment)
        if asked is not None and not same_setting(asked, found.get(option.name)):
            raise UsageError(
                f"hakmem option {option.name} cannot be '{asked}'; accepted: {option.allowed}"
            )
