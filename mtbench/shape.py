"""What a run directory's JSON must look like: its manifest and its records, told where it differs.

Files are edited, cut, merged by hand and written by other versions; whoever reads a run may rely on
what is checked here, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mtbench.plan import MOST_TRIALS
from workloads.latency import BUCKETS, SCHEME

_SHOWN = 60


@dataclass(frozen=True)
class Value:
    """One plain value. words: what is accepted."""

    words: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Maybe:
    """The same, or null."""

    shape: Any


@dataclass(frozen=True)
class Each:
    """A table of any keys."""

    shape: Any


@dataclass(frozen=True)
class Closed:
    """A table with no other keys."""

    keys: Mapping[str, Any]


Shape = Value | Maybe | Each | Closed | Mapping[str, Any] | list[Any]
"""A mapping is a table with at least these keys, those that end in ? left out at will; a list, any
number of its one item."""


def fault(value: Any, shape: Shape, place: str = "") -> str | None:
    """Where a value is not as it should be, in words; None if it is."""
    if isinstance(shape, Value):
        return None if shape.holds(value) else f"{place} is {_shown(value)}, not {shape.words}"
    if isinstance(shape, Maybe):
        return None if value is None else fault(value, shape.shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is {_shown(value)}, not a list"
        found = (fault(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value))
        return next(filter(None, found), None)
    if not isinstance(value, dict):
        return f"{place or 'it'} is {_shown(value)}, not a table"
    inside = f"{place}." if place else ""
    if isinstance(shape, Each):
        found = (fault(item, shape.shape, f"{inside}{key}") for key, item in value.items())
        return next(filter(None, found), None)
    keys = shape.keys if isinstance(shape, Closed) else shape
    for key, inner in keys.items():
        name = key.removesuffix("?")
        if name in value:
            wrong = fault(value[name], inner, f"{inside}{name}")
        else:
            wrong = None if key.endswith("?") else f"{inside}{name} is missing"
        if wrong:
            return wrong
    if isinstance(shape, Closed):
        known = {key.removesuffix("?") for key in keys}
        return next((f"{inside}{key} is unknown" for key in value if key not in known), None)
    return None


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_number(value: Any) -> bool:
    # What lies beyond would be infinite, or zero, after the first division.
    return type(value) in (int, float) and (value == 0 or 1e-30 <= abs(value) <= 1e30)


def _whole(least: int, most: int) -> Value:
    return Value(
        f"a whole number from {least} to {most}",
        lambda value: type(value) is int and least <= value <= most,
    )


def _one_of(*names: str) -> Value:
    return Value("one of " + ", ".join(names), lambda value: value in names)


def _is_histogram(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and type(pair[0]) is type(pair[1]) is int
        and 0 <= pair[0] < BUCKETS
        and 0 <= pair[1] <= 1 << 40
        for pair in value
    )


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and all(item is None or _is_number(item) for item in row)
        for row in value
    )


TEXT = Value("text", lambda value: isinstance(value, str))
SWITCH = Value("true or false", lambda value: isinstance(value, bool))
NUMBER = Value("a finite number", _is_number)
AMOUNT = Value("a number, 0 or more", lambda value: _is_number(value) and value >= 0)
COUNT = Value(
    'a number, null or {"missing": "why"}',
    lambda value: value is None or isinstance(value, dict) or _is_number(value),
)
PLACE = _whole(0, 1 << 52)
THREADS = _whole(1, 1 << 16)
ANYTHING = Value("anything", lambda _: True)

_LATENCY = Maybe(
    {
        "scheme": _one_of(SCHEME),
        "counts": Value(f"a list of [bucket below {BUCKETS}, count]", _is_histogram),
    }
)
_LOCK = {
    "name": TEXT,
    "acquisitions": AMOUNT,
    **dict.fromkeys(("spun?", "waited?", "wait_ns?", "max_wait_ns?", "hold_ns?"), AMOUNT),
    **dict.fromkeys(("hold_samples?", "max_waiters?", "owner_switches?"), AMOUNT),
}
_MEMORY = {
    **dict.fromkeys(("rss_before?", "rss_peak?", "rss_drained?", "live_bytes_peak?"), COUNT),
    "samples?": Maybe(Value("a list of [seconds, resident, live]", _is_series)),
}
_PROGRAM_RESULT = {
    **dict.fromkeys(("wall_s?", "user_s?", "system_s?", "rss_peak?"), AMOUNT),
    **dict.fromkeys(("voluntary?", "involuntary?", "minor_faults?", "major_faults?"), AMOUNT),
    "numbers": Each(NUMBER),
}
RESULT = {
    "operations": AMOUNT,
    "elapsed_s": AMOUNT,
    "progressed?": AMOUNT,
    "fairness?": Maybe({"jain?": COUNT}),
    "cpu?": Maybe(Each(COUNT)),
    "perf?": Maybe(Each(COUNT)),
    "futex_calls?": COUNT,
    "memory?": Maybe(_MEMORY),
    "latency?": Maybe({"malloc?": _LATENCY, "free?": _LATENCY}),
}
RECORD = {
    "schema": ANYTHING,
    "order": PLACE,
    "block": PLACE,
    "allocator": TEXT,
    "workload": TEXT,
    "threads": THREADS,
    "status": TEXT,
    "reason": Maybe(TEXT),
    "signal": Maybe(TEXT),
    "exit_code": Maybe(_whole(-(1 << 31), 1 << 31)),
    "stderr_tail": TEXT,
    "wall_s": AMOUNT,
    "identity?": Maybe(
        {
            "path?": Maybe(TEXT),
            "config?": Maybe(Each(ANYTHING)),
            "unseen_s?": AMOUNT,
            "left?": [TEXT],
        }
    ),
    "result?": ANYTHING,
    "allocator_stats?": Maybe({"locks?": Maybe([_LOCK]), "counted_s?": Maybe(AMOUNT)}),
    "machine?": Maybe({"runnable_during?": Maybe(AMOUNT)}),
}

_FACT = Closed(
    {
        **dict.fromkeys(("name", "found", "harm?", "remedy?"), TEXT),
        "severity?": _one_of("warning", "unknown", "note", "ok"),
        "weight?": NUMBER,
    }
)
_ALLOCATOR = Closed(
    {
        **dict.fromkeys(("label", "kind", "version", "sha256"), TEXT),
        "path": Maybe(TEXT),
        "environment?": Each(TEXT),
    }
)
_PLAN = {
    "allocators": [TEXT],
    "workloads": [TEXT],
    "threads": [THREADS],
    "trials": _whole(1, MOST_TRIALS),
    "duration": AMOUNT,
    "warmup": AMOUNT,
    "seed": Value("a whole number", lambda value: type(value) is int),
    "cores": THREADS,
    "cells": [
        Value(
            "[allocator, workload, threads]",
            lambda cell: (
                isinstance(cell, list)
                and len(cell) == 3
                and isinstance(cell[0], str)
                and isinstance(cell[1], str)
                and THREADS.holds(cell[2])
            ),
        )
    ],
    "timeout": AMOUNT,
    "pin": TEXT,
    "verify": SWITCH,
    "latency_every": PLACE,
    "memory": PLACE,
    "turns": PLACE,
    "sources": [
        Value(
            "[workload, its TOML]",
            lambda pair: isinstance(pair, list) and [*map(type, pair)] == [str, str],
        )
    ],
}
_PROGRAM = {
    "name": TEXT,
    "command": [TEXT],
    "client": [TEXT],
    "codes": [_whole(0, 255)],
    "timeout": AMOUNT,
    **dict.fromkeys(("setup", "prepare", "cleanup", "ready"), TEXT),
    "numbers": [Closed({"name": TEXT, "pattern": TEXT, "lower": SWITCH})],
}
_MACHINE = {
    "machine?": TEXT,
    "fingerprint?": Each(ANYTHING),
    "conditions?": Each(TEXT),
    "packages?": Each(TEXT),
    "facts?": [_FACT],
    "allocators": [_ALLOCATOR],
}
MANIFEST = {
    **_MACHINE,
    "created": TEXT,
    "command": TEXT,
    "title?": TEXT,
    "host": TEXT,
    "plan": _PLAN,
    "workloads": [Closed(dict.fromkeys(("name", "description", "unit"), TEXT))],
    "sessions?": [{"seconds": AMOUNT, "interrupted": SWITCH}],
    "program?": _PROGRAM,
    "without_preload?": TEXT,
    "cluster?": TEXT,
    "on_each_host?": SWITCH,
    "assignment?": Each(TEXT),
    "hosts?": Each({**_MACHINE, "facts": [_FACT], "machine": TEXT, "cores": THREADS}),
}


def manifest_fault(manifest: Any) -> str | None:
    """What is wrong with a manifest; None if nothing is."""
    wrong = fault(manifest, MANIFEST)
    if wrong:
        return wrong
    plan = manifest["plan"]
    for name in ("allocators", "workloads", "threads", "cells"):
        entries = sorted(map(repr, plan[name]))
        if twice := next((one for one, next_ in pairwise(entries) if one == next_), None):
            return f"plan.{name} has {twice} twice"
    labels = [entry["label"] for entry in manifest["allocators"]]
    names = [entry["name"] for entry in manifest["workloads"]]
    if not labels or labels != plan["allocators"]:
        return "allocators are not those of its plan"
    if not names or names != plan["workloads"] or not plan["threads"]:
        return "workloads are not those of its plan"
    for allocator, workload, threads in plan["cells"]:
        if not (allocator in labels and workload in names and threads in plan["threads"]):
            return f"plan.cells has {allocator}, {workload}, {threads}, which its lists have not"
    if "program" not in manifest and sorted(name for name, _ in plan["sources"]) != sorted(names):
        return "plan.sources are not those of its workloads"
    for host, facts in manifest.get("hosts", {}).items():
        # The name is a folder's, too.
        if not host.strip(".") or "/" in host or not host.isprintable():
            return f"hosts has the name {_shown(host)}"
        if [entry["label"] for entry in facts["allocators"]] != labels:
            return f"hosts.{host}.allocators are not those of the plan"
    if "hosts" in manifest and ("assignment" not in manifest or "on_each_host" not in manifest):
        return "hosts without assignment and on_each_host"
    return None


def record_fault(record: Any, manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with a record of a run; None if nothing is."""
    wrong = fault(record, RECORD)
    if wrong is None and "hosts" in manifest:
        wrong = fault(record, {"host": {"name": TEXT}})
    if wrong is None and record["status"] == "ok":
        wrong = fault(record, {"result": RESULT})
        if wrong is None and "program" in manifest:
            proof = {"processes": AMOUNT, "proven": AMOUNT}
            wrong = fault(record, {"result": {"program": _PROGRAM_RESULT}, "identity": proof})
    return wrong


def sound(record: dict[str, Any]) -> dict[str, Any]:
    """The record, or a failure in its place where a reader would refuse it: what a broken malloc
    left of a worker's numbers is no number."""
    result = record.get("result")
    program = isinstance(result, dict) and "program" in result
    wrong = record_fault(record, {"program": result} if program else {})
    if wrong is None:
        return record
    nothing = {"result": None, "allocator_stats": None, "identity": None}
    return {**record, **nothing, "status": "error", "reason": f"its numbers are damaged: {wrong}"}
