"""The process in which one trial happens: prove the malloc, run the kernel, write one record.

Started fresh for each trial with the malloc under test preloaded, so it imports as little as it
can. The request is read from a file and the record written to another, both opened by path at
the moment of use: an allocator that closes or floods descriptors cannot spoil them.

Arguments: REQUEST RECORD. The request file is one line of JSON, an `Errand`, and then the bytes of
`workloads.request`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TypedDict


class Errand(TypedDict):
    """What a worker is to prove and where it finds the packages.

    expect: the library that is to serve malloc, None for the system's. config: hakmem's switches.
    packages: the folders of each package.
    """

    expect: str | None
    config: dict[str, str]
    packages: dict[str, list[str]]


def main() -> None:
    """Run the trial and leave at once, without the interpreter's farewell."""
    request_path, record_path = sys.argv[1:3]
    with open(request_path, "rb") as file:  # noqa: PTH123 - pathlib costs 8 ms of start-up
        header, _, request = file.read().partition(b"\n")
    record = json.dumps(_trial(json.loads(header), request)).encode()
    with open(record_path, "wb") as file:  # noqa: PTH123
        file.write(record)
    os._exit(0)


def _trial(errand: Errand, request: bytes) -> dict[str, Any]:
    from mtbench.mallocs import identity

    expected = errand["expect"]
    if wrong := identity.disproof(expected):
        return {"status": "mismatch", "reason": wrong}
    path = identity.serving()
    import workloads
    from mtbench.mallocs import counters

    folders = errand["packages"]
    workloads.__path__[:] = folders["workloads"]
    execute = workloads.execute
    config = identity.settings(path)
    proof = {"path": path, "version": identity.version(path), "config": config or None}
    if wrong := _configured_otherwise(errand["config"], config):
        return {"status": "mismatch", "reason": wrong, "identity": proof}
    window = counters.Window(path, folders["allocator"])
    result = execute(request, at_edge=window.at_edge)
    if wrong := identity.disproof(expected):
        return {"status": "mismatch", "reason": f"after the run, {wrong}", "identity": proof}
    record = {"identity": proof, "result": result, "allocator_stats": window.spent()}
    found = (result.get("verify") or {}).get("violation")
    if found:
        return {
            "status": "violation",
            "reason": "block corrupted: "
            + ", ".join(f"{key} {value}" for key, value in found.items()),
            **record,
        }
    if wrong := workloads.unserved(result):
        return {"status": "refused", "reason": wrong, **record}
    return {"status": "ok", "reason": None, **record}


def _configured_otherwise(asked: dict[str, str], found: dict[str, str]) -> str | None:
    """Why the configuration read back is not the one asked for; None if it is."""
    from mtbench.mallocs import identity

    for name, value in asked.items():
        if not identity.same_setting(value, found.get(name)):
            return f"hakmem's {name} is {found.get(name)!r}, not {value!r} as asked"
    return None


if __name__ == "__main__":
    main()
