"""The machines: each runs its commands in a place, and says by an exception what went wrong."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from tests.machines.place import AbsentError, FailedError, Place, write_pip_settings

COMPILERS = r"(?:.*-)?(?:cc|gcc|g\+\+|c\+\+|clang|tcc|[cx]\d\d-gcc|c89|c99)(?:-\d+)?"

FEW = ["-a", "hakmem,system,null", "-w", "mid_gap", "-t", "1,2"]
"""Cells enough to see that trials run, where the whole quick sweep would show no more."""

_locks: defaultdict[str, Lock] = defaultdict(Lock)


@dataclass(frozen=True)
class Machine:
    """A name and what is run there."""

    name: str
    run: Callable[[Place], None]


def packages(source: Path) -> list[str]:
    """What the README tells a user of Debian to install."""
    readme = (source / "README.md").read_text(encoding="utf-8")
    found = re.search(r"`apt install ([^`]*python3-venv[^`]*)`", readme)
    if found is None:
        raise FailedError("README.md names no packages with python3-venv among them")
    return found[1].split()


def mirror() -> str:
    """The distribution's archive, as apt is configured here. Raises AbsentError without one."""
    targets = ["Created-By: Packages", "Origin: Debian"]
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", *targets],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        raise AbsentError("apt names no mirror of Debian here") from None
    # Of trixie, trixie-updates and trixie-security, the first is the archive.
    sites = [line.split()[1] for line in listed.splitlines() if "-" not in line.split()[0]]
    if not sites:
        raise AbsentError("apt names no mirror of Debian here")
    return sites[0]


def apt_proxy() -> list[str]:
    """`http_proxy=...` where apt has a proxy of its own."""
    said = subprocess.run(
        ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [said.strip().replace("'", "")] if said.strip() else []


def enter_root(place: Place, suite: str, python: str = "python3") -> None:
    """Puts the place into a minimal root of a Debian suite with what the README tells to install,
    its Python being `python`.

    A root is kept with the list of those packages, the last thing written to it, and built again
    for another list. Raises AbsentError without a root, FailedError without the packages.
    """
    name = suite if python == "python3" else python
    chosen = [word.replace("python3", python) for word in packages(place.source)]
    root, host = place.build / name, Place(place.name, place.source, place.build, place.log)
    installed = root / "etc" / "mtbench-packages"
    with _locks[name]:
        if not installed.is_file() or installed.read_text(encoding="utf-8").split() != chosen:
            base = ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite]
            namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            host.run("", place.build, ["rm", "-rf", str(root)])
            try:
                build = [*namespace, "env", *apt_proxy(), *base, str(root), mirror()]
                host.run("", place.build, build)
            except FailedError as error:
                raise AbsentError(f"debootstrap {suite}{error}") from None
            host.root = root
            # A mirror may lag behind its clock; debootstrap does not mind either.
            apt = ["env", "DEBIAN_FRONTEND=noninteractive", *apt_proxy(), "apt-get", "-qq"]
            apt += ["-o", "Acquire::Check-Valid-Until=false"]
            host.run("apt-get update", root, [*apt, "update"])
            install = [*apt, "install", "--no-install-recommends", *chosen]
            host.run("apt-get install", root, install)
            installed.write_text(" ".join(chosen), encoding="utf-8")
        write_pip_settings(root)
    place.root = root


def debian(suite: str, place: Place) -> None:
    """The README's two commands, the second as its core, with the distribution's own tools."""
    enter_root(place, suite)
    place.ask("python3")
    clone = place.clone()
    place.run("make sweep", clone, ["make", "sweep"])
    place.run("make ctest trials", clone, ["make", "ctest", "trials"])


def python(name: str, place: Place) -> None:
    """The same with another Python: this machine's, or else that of Debian testing."""
    try:
        place.ask(name)
    except AbsentError as here:
        try:
            enter_root(place, "testing", name)
        except (AbsentError, FailedError) as there:
            raise AbsentError(f"{here}; {there}") from None
        place.ask(name)
    clone = place.clone()
    few = f"SWEEP={' '.join(FEW)}"
    place.run("make sweep (few cells)", clone, ["make", "sweep", f"PYTHON={name}", few])
    place.run("make trials", clone, ["make", "trials"])


def odd_path(place: Place) -> None:
    """Everything below a folder with a space and an umlaut."""
    place.ask("python3")
    clone = place.clone("ein schönes Gerät")
    place.run("make sweep (few cells)", clone, ["make", "sweep", f"SWEEP={' '.join(FEW)}"])
    place.run("make trials", clone, ["make", "trials"])
    harness = [".venv/bin/python", "-m", "tools.harness", "mid_gap"]
    place.run("python -m tools.harness", clone, harness)


def homeless(place: Place) -> None:
    """A user without rights whose home is not there, or not named, or not to be written."""
    enter_root(place, "bookworm")
    place.ask("python3")
    clone = place.clone()
    place.run("make .venv/installed", clone, ["make", ".venv/installed"])
    mtbench = place.inside(clone / ".venv" / "bin" / "mtbench")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"]
    homes = {"no HOME": ["-u", "HOME"], "no such HOME": ["HOME=/nonexistent"], "HOME=/": ["HOME=/"]}
    for label, home in homes.items():
        work = place.folder / label
        work.mkdir()
        os.chown(work, 65534, 65534)
        as_user = [*user, *home, mtbench]
        sweep = ["sweep", "--quick", *FEW, "-o", "runs/it"]
        place.silent(f"{label}: mtbench sweep --quick (few cells)", work, [*as_user, *sweep])
        place.silent("mtbench list", work, [*as_user, "list"])
        place.silent("mtbench report", work, [*as_user, "report", "runs/it"])


def wheel(place: Place) -> None:
    """An installed wheel where no compiler can be run."""
    enter_root(place, "bookworm")
    place.ask("python3")
    clone = place.clone()
    python = place.inside(place.folder / "venv" / "bin" / "python")
    place.run("python -m venv", place.folder, ["python3", "-m", "venv", "venv"])
    build = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "../wheels", "."]
    place.run("pip wheel . --no-deps", clone, build)
    built = next((place.folder / "wheels").glob("*.whl"))
    assert place.root is not None
    programs = (place.root / "usr" / "bin").iterdir()
    place.hidden = [
        f"/usr/bin/{program.name}"
        for program in programs
        if re.fullmatch(COMPILERS, program.name) and not program.is_symlink()
    ]
    place.ask("python3", compiler="")
    # A compiler that still ran would make this machine prove nothing.
    place.run("no cc", place.folder, ["sh", "-c", "! command -v cc gcc clang c99 tcc"])
    place.run(
        "pip install",
        place.folder,
        [python, "-m", "pip", "install", "--quiet", place.inside(built)],
    )
    mtbench = place.inside(place.folder / "venv" / "bin" / "mtbench")
    place.run("mtbench list", place.folder, [mtbench, "list"])
    sweep = [mtbench, "sweep", "--quick", *FEW]
    place.run("mtbench sweep --quick (few cells)", place.folder, sweep)
    one = [mtbench, "run", "-a", "hakmem", "-w", "mid_exchange", "-t", "2"]
    place.run("mtbench run", place.folder, one)


CATALOGUE = [
    Machine("debian-12", partial(debian, "bookworm")),
    Machine("debian-13", partial(debian, "trixie")),
    *(Machine(f"python-3.{n}", partial(python, f"python3.{n}")) for n in range(10, 15)),
    Machine("odd-path", odd_path),
    Machine("no-home", homeless),
    Machine("wheel", wheel),
]
