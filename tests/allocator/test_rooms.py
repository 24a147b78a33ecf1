"""The rooms of the allocator: a folder of `allocator/src` knows itself and those below it.

`ROOMS` is their order. In a room, too, no noun (a header and its source) needs itself by way of
others; so a reader who begins at the bottom meets nothing that was not told before.
"""

import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "allocator" / "src"

ROOMS = ("base", "pages", "tables", "stores", "boxes", "face")
"""From the ground up."""

PUBLIC = {"hakmem.h", "hakmem_build.h"}
"""Includes that are of no room: the library's header, and the one that the build makes."""

LENT = {"decay_run", "fork_forget"}
"""Functions that a room declares for itself and a room above defines, as they ask every box."""


def files(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*") if path.suffix in (".c", ".h"))


def includes(file: Path) -> list[str]:
    found = re.findall(r'^\s*#\s*include\s*"([^"]+)"', file.read_text(), re.MULTILINE)
    return [name for name in found if name not in PUBLIC]


def faults(source: Path, rooms: tuple[str, ...] = ROOMS) -> list[str]:
    """Every include that is not as the order of the rooms has it, with its file."""
    found: list[str] = []
    needs: dict[str, dict[str, str]] = defaultdict(dict)
    for path in files(source):
        file = path.relative_to(source).as_posix()
        room = file.partition("/")[0]
        if room not in rooms:
            found.append(f"{file} is in no room")
            continue
        for name in includes(path):
            include = f'{file} includes "{name}"'
            of = name.partition("/")[0]
            if of not in rooms or not (source / name).is_file():
                found.append(f"{include}, which is no header with its room before it")
            elif rooms.index(of) > rooms.index(room):
                found.append(f"{include}, upwards")
            elif name[:-2] != file[:-2]:
                needs[file[:-2]][name[:-2]] = include
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        steps = [needs[noun][other] for noun, other in pairwise(circle)]
        found.append("; ".join(steps) + ": a circle")
    return found


def test_no_file_includes_upwards_or_in_a_circle() -> None:
    assert faults(SOURCE) == []


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ({"pages/a.h": "face/b.h"}, 'pages/a.h includes "face/b.h", upwards'),
        ({"pages/a.c": "pages/b.h"}, None),
        ({"face/a.c": "hakmem.h"}, None),
        ({"face/a.c": "b.h"}, 'a.c includes "b.h", which is no header with its room before it'),
        ({"face/a.c": "pages/c.h"}, "no header with its room before it"),
        ({"a.c": "pages/b.h"}, "a.c is in no room"),
        ({"pages/a.h": "pages/b.h", "pages/b.c": "pages/a.h"}, 'pages/b.c includes "pages/a.h"'),
        ({"pages/a.h": "pages/b.h", "pages/b.c": "pages/a.h"}, 'pages/a.h includes "pages/b.h"'),
    ],
)
def test_a_wrong_include_is_named_with_its_file(
    tmp_path: Path, tree: dict[str, str], fault: str | None
) -> None:
    for name in ("pages/b.h", "face/b.h", *tree):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#include "{tree[name]}"\n' if name in tree else "")
    found = faults(tmp_path)
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def functions(room: str, suffix: str, end: str) -> set[str]:
    """Names of the functions that a room's files declare (end `;`) or define (end `{`) for all."""
    named = rf"^(?!static\b|extern\b)\w[^\n;{{}}=()]*?\b(\w+)\([^;{{}}]*?\)\s*{re.escape(end)}"
    found: set[str] = set()
    for file in files(SOURCE / room):
        if file.suffix == suffix:
            text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
            found.update(re.findall(named, text, re.MULTILINE))
    return found


def test_a_function_is_defined_in_the_room_that_declares_it_or_lent_from_above() -> None:
    """Else a call upwards would need no include."""
    declared = {room: functions(room, ".h", ";") for room in ROOMS}
    assert sum(map(len, declared.values())) > 200
    elsewhere = {room: declared[room] - functions(room, ".c", "{") for room in ROOMS}
    assert set().union(*elsewhere.values()) == LENT, elsewhere
