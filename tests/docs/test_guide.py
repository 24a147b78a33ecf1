"""Every command of the guide runs and ends with the exit code that its page states.

A page runs in a folder of its own, its commands in their order. `mtbench` on the path is the
real one behind a script that makes a command shorter, by appending options that a user could have
typed, and says so on stderr: fewer trials, shorter windows, at most two threads. Nothing else about
a command changes but the port of the Redis server, which is a free one.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtbench.mallocs import allocators
from mtbench.programs.named import CATALOGUE
from plots.drawings import catalogue
from tools import specimen
from tools.repository import DOCS

GUIDE = DOCS / "guide"

SHIM = f"""#!{sys.executable}
import sys

given = sys.argv[1:]
own = given[: given.index("--")] if "--" in given else given
rest = given[len(own) :]
kind = own[0] if own else ""
more = []
if kind in ("sweep", "run"):
    more += ["-n", "1", "--duration", "0.05", "--warmup", "0.01", "--no-progress"]
if kind == "sweep" and ("-t" in own or "--quick" in own):
    more += ["-t", "1,2"]
if kind == "sweep" and "--quick" in own:
    more += ["-a", "system,hakmem", "-w", "mid_gap"]
if kind == "run" and "-t" in own:
    more += ["-t", "2"]
if kind == "exec":
    more += ["-n", "1", "--no-progress"]
    more += [] if "-a" in own else ["-a", "system,hakmem"]
if kind == "verify":
    more += ["--only", "^alignment.*every-size"]
if more:
    print("shortened with:", *more, file=sys.stderr)

from mtbench.__main__ import main

sys.exit(main([*own, *more, *rest]))
"""

ELSEWHERE = {
    "dask scheduler": "needs a cluster; tests/mtbench/test_fleet.py runs one on this machine",
    "dask worker": "needs a cluster; tests/mtbench/test_fleet.py runs one on this machine",
    "mtbench sweep --cluster": "needs a cluster; tests/mtbench/test_fleet.py runs one here",
}
"""Commands that cannot run here as they stand, by their first words, and what stands for them."""


@dataclass(frozen=True)
class Step:
    """One command as the guide prints it, and the exit codes that the guide allows."""

    text: str
    codes: tuple[int, ...]


def steps(block: str) -> list[Step]:
    """The commands of a block: lines, joined by a backslash at their end or by a heredoc."""
    found: list[Step] = []
    lines = iter(block.splitlines())
    for line in lines:
        text = line
        while text.endswith("\\"):
            text += "\n" + next(lines)
        heredoc = re.search(r"<<'(\w+)'", text)
        while heredoc and text.splitlines()[-1] != heredoc[1]:
            text += "\n" + next(lines)
        stated = re.search(r"\s# exit (\d+)(?:,? or (\d+))?", text)
        codes = tuple(int(code) for code in stated.groups() if code) if stated else (0,)
        if text.strip():
            found.append(Step(text, codes))
    return found


def pages() -> dict[str, list[Step]]:
    """The commands of each page that has any."""
    found = {}
    for page in sorted(GUIDE.glob("*.md")):
        blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
        if blocks:
            found[page.stem] = [step for block in blocks for step in steps(block)]
    return found


def missing(text: str) -> str:
    """What a command needs that is not on this machine; "" if nothing."""
    for beginning, reason in ELSEWHERE.items():
        if text.startswith(beginning):
            return reason
    text = text.replace("\\\n", "")
    programs = re.findall(r"(?:-- +|--server '|--client ')(\S+)", text)
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    catalogued = re.search(r"exec -p (\S+)", text)
    for name in catalogued[1].split(",") if catalogued else ():
        if name in CATALOGUE and (reason := CATALOGUE[name].obstacle()):
            return f"{name}: {reason}"
    named = re.search(r"-a (\S+)", text)
    here = {entry.label for entry in allocators.installed()}
    for label in named[1].split(",") if named else ():
        if re.fullmatch(r"\w+", label) and label not in here:
            return f"{label} is not installed"
    return ""


def furnish(folder: Path) -> dict[str, str]:
    """Puts the files there that the guide says are the reader's, and `mtbench` on the path."""
    (folder / "docs").symlink_to(DOCS)
    # Both give a program so much to do that it is looked at before it ends.
    (folder / "data.tar").write_bytes(random.Random(1).randbytes(1 << 20))
    (folder / "build.sql").write_text(
        "create table t as with recursive n(i) as (select 1 union all select i + 1 from n "
        "where i < 500000) select i, hex(i) as h from n;\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    python = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    for name, text in (("mtbench", SHIM), ("python", python)):
        file = programs / name
        file.write_text(text, encoding="utf-8")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "PATH": f"{programs}:{os.environ.get('PATH', '')}"}


@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page_end_as_it_states(page: str, tmp_path: Path) -> None:
    environment = furnish(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    left_out = []
    for step in pages()[page]:
        if reason := missing(step.text):
            left_out.append(f"{shlex.split(step.text, comments=True)[:2]}: {reason}")
            continue
        done = subprocess.run(
            ["bash", "-c", step.text.replace("7399", str(port))],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode in step.codes, f"{step.text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{step.text}\n{done.stderr}"
    if left_out:
        pytest.skip(f"all but: {'; '.join(left_out)}")


def test_every_figure_of_a_report_is_explained_by_its_file_name() -> None:
    text = (GUIDE / "figures.md").read_text(encoding="utf-8")
    headings = " ".join(re.findall(r"^## (.*)$", text, re.M))
    # Of a program there is one figure, of several runs there are two.
    names = {"programs", "program-NAME", "hosts-WORKLOAD", "allocators-WORKLOAD"}
    for run in (specimen.full(), specimen.many_cores()):
        for entry in catalogue.entries(run):
            kind = entry.name.removesuffix(f"-{entry.workload}")
            names.add(f"{kind}-WORKLOAD" if entry.workload else kind)
    assert {name for name in names if f"`{name}`" not in headings} == set()


def test_the_index_leads_to_every_page() -> None:
    text = (GUIDE / "README.md").read_text(encoding="utf-8")
    led_to = set(re.findall(r"\]\((\w+\.md)\)", text))
    assert led_to == {page.name for page in GUIDE.glob("*.md")} - {"README.md"}
