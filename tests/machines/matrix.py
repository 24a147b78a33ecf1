"""Runs a new user's first commands on machines that are not this one, and records what happened.

    python -m tests.machines.matrix [--only REGEX] [-j N]

A machine is a minimal Debian root, another Python, a path with a space, a user without a home or an
installed wheel without a compiler; `machines.py` has them. Each starts from a fresh clone of HEAD
and gets a row in docs/data/machines.json: `passed`, `failed`, or `absent`, with the reason. What it
put out is in build/machines/NAME.log; the roots beside it are kept and used again.

Exit codes: 0 all passed or absent, 2 wrong usage, 3 a machine failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict

from mtbench.base.written import write_whole
from tests.machines.machines import CATALOGUE, Machine
from tests.machines.place import AbsentError, FailedError, Place, Row, end_all
from tools.repository import DATA, ROOT

BUILD = ROOT / "build" / "machines"
KEPT = DATA / "machines.json"


def tried(machine: Machine) -> Row:
    """The row of one machine; prints it."""
    began = time.monotonic()
    result, reason = "passed", ""
    with (BUILD / f"{machine.name}.log").open("w", encoding="utf-8") as log:
        place = Place(machine.name, ROOT, BUILD, log)
        try:
            machine.run(place)
            place.clear()
        except AbsentError as error:
            result, reason = "absent", str(error)
        except (FailedError, OSError) as error:
            result, reason = "failed", str(error)
    seconds = round(time.monotonic() - began)
    # Which host served a package, and where this checkout lies, is nobody's concern.
    reason = re.sub(r"(?<![\w/])(?:\w+:/)?/[^\s'\"]*/", "", reason)
    row = Row(machine.name, *place.facts, "; ".join(place.ran), result, reason, seconds)
    print(f"{row.machine:16} {row.result:7} {row.seconds:5} s  {row.reason}", flush=True)
    return row


def keep(rows: Sequence[Row]) -> None:
    """Puts the rows in the place of their machines' older ones."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["rows"] if KEPT.exists() else []
    known = {row["machine"]: row for row in kept} | {row.machine: asdict(row) for row in rows}
    ordered = [known[machine.name] for machine in CATALOGUE if machine.name in known]
    document = {"schema": 1, "kind": "mtbench-machines", "rows": ordered}
    write_whole(KEPT, json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description="a new user's first commands on other machines")
    parser.add_argument("--only", metavar="REGEX", default="", help="machines whose name matches")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="machines at a time")
    options = parser.parse_args(arguments)
    try:
        chosen = [machine for machine in CATALOGUE if re.search(options.only, machine.name)]
    except re.error as error:
        print(f"matrix: --only: {error}", file=sys.stderr)
        return 2
    if not chosen or options.j < 1:
        names = ", ".join(machine.name for machine in CATALOGUE)
        print(f"matrix: -j is at least 1, and --only matches one of {names}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("matrix: roots and other users need root: run it as root", file=sys.stderr)
        return 2
    BUILD.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with ThreadPoolExecutor(options.j) as pool:
        futures = [pool.submit(tried, machine) for machine in chosen]
        try:
            for future in as_completed(futures):
                rows.append(future.result())
                keep(rows)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            return 130
    return 3 if any(row.result == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
