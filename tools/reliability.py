"""Makes docs/reliability.md from the result files in docs/data. No number is typed by hand.

mtbench verify -a all,hakmem:check=1 --linked --quick --json > verify.json
mtbench verify -a all --linked --only 'exhaustion.*(kth|from)' --json > full.json
python -m tests.real.run hakmem --json > real.json
python -m tools.reliability record verify.json full.json real.json  take the results into docs/data
python -m tools.reliability faults                        seed each fault, record who finds it
python -m tools.sanitize asan tsan valgrind               run the C tests under each, record that
make machines                                             first commands on other machines, likewise
python -m tools.misuse_cost                               what the default mode's checks cost
python -m tools.reliability render [--check]              write the page, or say it is stale
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtbench.base.written import write_whole
from mtbench.commands.verify import catalogue, probe_path, select, verify
from plots.pages.table import markdown_table
from tools.exceptions import EXCEPTIONS
from tools.faults import FOUND_BY, HANGS, HOARDS, compiled, with_fault
from tools.repository import DATA, DOCS, Json

PAGE = DOCS / "reliability.md"
LAST_K = 200
FULL = "verify-full.json"
"""Results of full forms: of the refused calls, whose quick form leaves some of the 200 out."""
KINDS = {"mtbench-verify": "verify.json", "mtbench-real": "real.json"}
SIZES = ("tiny", "small", "mid", "large", "huge")
MARKS = {"kept": "✓", "broken": "**✗**", "inapplicable": "–"}


def machine() -> Json:
    """What a reader needs to judge the results."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "unknown libc"
    return {
        "kernel": platform.release(),
        "libc": libc,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
    }


def shortened(value: Any) -> Any:
    """Paths of libraries and programs cut to their file names: they say where, not what."""
    if isinstance(value, dict):
        return {k: shortened(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shortened(v) for v in value]
    if isinstance(value, str) and "/" in value:
        return " ".join(
            word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in value.split(" ")
        )
    return value


def store(name: str, document: Json) -> None:
    """One result file, with the machine it was made on."""
    DATA.mkdir(exist_ok=True)
    text = json.dumps(shortened(document) | {"machine": machine()}, ensure_ascii=False)
    write_whole(DATA / name, text + "\n")


def merged(old: Json | None, new: Json) -> Json:
    """The old results with the new verdicts in place of theirs: a part may be run again."""
    if old is None or old["quick"] != new["quick"]:
        return new
    rows = {a["label"]: a for a in old["allocators"]}
    for allocator in new["allocators"]:
        known = {v["name"]: v for v in rows.get(allocator["label"], allocator)["verdicts"]}
        known |= {v["name"]: v for v in allocator["verdicts"]}
        rows[allocator["label"]] = allocator | {"verdicts": list(known.values())}
    return new | {"allocators": list(rows.values())}


def record(files: Sequence[str]) -> None:
    """Takes documents of `mtbench verify --json` and `tests.real.run --json`."""
    for file in files:
        document = json.loads(Path(file).read_text())
        kind = document.get("kind")
        if kind not in KINDS:
            raise SystemExit(f"{file}: kind {kind!r} is not one of {', '.join(KINDS)}")
        name = KINDS[kind]
        if kind == "mtbench-verify":
            name = name if document["quick"] else FULL
            document = merged(load(name), document)
        store(name, document)


def seed_faults() -> None:
    """Compiles the faulty mallocs and records which probe finds each of their faults."""
    rows = []
    probe = probe_path()
    with tempfile.TemporaryDirectory() as folder:
        for source, faults in (("faulty", FOUND_BY | HANGS), ("hoarder", HOARDS)):
            library = compiled(Path(folder), source)
            for fault, pattern in faults.items():
                chosen = select(catalogue(probe), pattern)
                limit = 10.0 if fault in HANGS else 120.0
                subject = with_fault(library, fault)
                report = verify(subject, chosen, quick=True, timeout=limit, probe=probe)
                found = [{"probe": v.promise.name, "why": v.why} for v in report.promises("broken")]
                rows.append({"fault": fault, "found": found})
    store("faults.json", {"schema": 1, "kind": "mtbench-faults", "rows": rows})


def load(name: str) -> Json | None:
    """A result file, or None where it was never recorded."""
    path = DATA / name
    document: Json | None = json.loads(path.read_text()) if path.exists() else None
    return document


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first row is its head."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [markdown_table(escaped[0], escaped[1:], align="l"), ""]


def verdicts(allocator: Json, area: str | None = None) -> list[Json]:
    """The applicable verdicts of an area, or of all promises (misuse left out)."""
    return [
        v
        for v in allocator["verdicts"]
        if v["result"] != "inapplicable" and (v["area"] == area if area else v["area"] != "misuse")
    ]


def score(found: Sequence[Json]) -> str:
    """Kept of applicable."""
    return f"{sum(v['result'] == 'kept' for v in found)}/{len(found)}"


def summary(allocators: Sequence[Json]) -> list[str]:
    """The areas, the total, the misuse programs."""
    areas = [
        a for a in dict.fromkeys(v["area"] for v in allocators[0]["verdicts"]) if a != "misuse"
    ]
    rows = [["area", *(a["label"] for a in allocators)]]
    rows += [[area, *(score(verdicts(a, area)) for a in allocators)] for area in areas]
    rows.append(["**all promises**", *(f"**{score(verdicts(a))}**" for a in allocators)])
    rows.append(["misuse stopped", *(score(verdicts(a, "misuse")) for a in allocators)])
    purpose = [str(sum(v["stop"] == "purpose" for v in a["verdicts"])) for a in allocators]
    return grid([*rows, ["- on purpose, with a message", *purpose]])


def every_promise(allocators: Sequence[Json]) -> list[str]:
    """A row a promise."""
    results = [{v["name"]: v["result"] for v in a["verdicts"]} for a in allocators]
    rows = [["promise", "test", *(a["label"] for a in allocators)]]
    for verdict in allocators[0]["verdicts"]:
        if verdict["area"] != "misuse":
            name = verdict["name"]
            marks = [MARKS.get(r.get(name, ""), "") for r in results]
            rows.append([verdict["line"], f"`{name}`", *marks])
    return grid(rows)


def broken(allocators: Sequence[Json], exceptions: dict[str, dict[str, str]]) -> list[str]:
    """What each malloc breaks, in the probe's words, with the known reason where there is one."""
    lines = []
    for allocator in allocators:
        found = [v for v in verdicts(allocator) if v["result"] == "broken"]
        if not found:
            continue
        lines += [f"### {allocator['label']}", ""]
        known = exceptions.get(allocator["label"], {})
        for verdict in found:
            reason = f" ({known[verdict['name']]})" if verdict["name"] in known else ""
            lines.append(f"- `{verdict['name']}`: {verdict['why']}{reason}")
        lines.append("")
    return lines


def misuse(allocators: Sequence[Json]) -> list[str]:
    """A row a fault, its sizes together: stopped (on purpose) of tried."""
    faults: dict[str, list[Counter[str]]] = {}
    for column, allocator in enumerate(allocators):
        for verdict in allocator["verdicts"]:
            if verdict["area"] != "misuse":
                continue
            stem, _, tail = verdict["name"].removeprefix("misuse.").rpartition("-")
            name = stem if tail in SIZES else verdict["name"].removeprefix("misuse.")
            counts = faults.setdefault(name, [Counter() for _ in allocators])[column]
            counts[verdict["result"]] += 1
            counts[verdict["stop"] or ""] += verdict["result"] == "kept"
    rows = [["misuse", *(a["label"] for a in allocators)]]
    for name, columns in faults.items():
        cells = []
        for c in columns:
            tried = c["kept"] + c["broken"]
            purpose = f" ({c['purpose']})" if c["purpose"] else ""
            cells.append(f"{c['kept']}/{tried}{purpose}" if tried else "–")
        rows.append([f"`{name}`", *cells])
    return grid(rows)


def injected(allocators: Sequence[Json]) -> list[str]:
    """How many refused system calls each malloc lived through, as its probes counted them.

    Where the program cannot make a malloc call so often, the last k that was reached is said.
    """
    rows = [["test", *(a["label"] for a in allocators)]]
    names = [
        v["name"]
        for v in allocators[0]["verdicts"]
        if v["name"].startswith("exhaustion.") and v["name"].endswith(("-kth", "-from"))
    ]
    tables = [{v["name"]: v for v in a["verdicts"]} for a in allocators]
    for name in names:
        cells = []
        for table in tables:
            verdict = table[name]
            number = verdict["why"].partition(" ")[0]
            kept = verdict["result"] == "kept" and number.isdigit()
            reached = re.search(r"each k up to (\d+)", verdict["why"])
            short = f" (k to {reached[1]})" if reached and int(reached[1]) < LAST_K else ""
            cells.append(number + short if kept else MARKS[verdict["result"]])
        rows.append([f"`{name}`", *cells])
    totals = []
    for table in tables:
        said = [table[name]["why"].partition(" ")[0] for name in names]
        totals.append(f"**{sum(int(number) for number in said if number.isdigit())}**")
    return grid([*rows, ["**together**", *totals]])


def sanitized(rows: Sequence[Json]) -> list[str]:
    """A row a tool and compiler: all recorded runs together."""
    table = [["tool", "compiler", "runs", "tests run", "failed", "reports", "hours"]]
    for tool, compiler in dict.fromkeys((r["tool"], r["compiler"]) for r in rows):
        of = [r for r in rows if (r["tool"], r["compiler"]) == (tool, compiler)]
        sums = [str(sum(r[key] for r in of)) for key in ("tests", "failed", "reports")]
        hours = f"{sum(r['seconds'] for r in of) / 3600:.2f}"
        table.append([tool, compiler, str(len(of)), *sums, hours])
    return grid(table)


def page() -> str:
    """The whole page, from what is recorded."""
    lines = [
        "# Reliability",
        "",
        "Made by `tools/reliability.py` from the files in `docs/data`; "
        "see there for how to renew it. What each test does: `mtbench verify --list`.",
        "",
    ]
    results = load("verify.json")
    if results is not None:
        allocators, host = results["allocators"], results["machine"]
        size = "the quick form" if results["quick"] else "the full form"
        lines += [
            f"`mtbench verify` on {host['libc']}, Linux {host['kernel']}, "
            f"{host['architecture']}, {host['cores']} cores, {size} of every test. "
            "✓ kept, ✗ broken, – not applicable.",
            "",
        ]
        lines += ["## Promises kept", "", *summary(allocators)]
        lines += ["## What is broken", "", *broken(allocators, EXCEPTIONS)]
        lines += [
            "## Refused system calls survived",
            "",
            "Calls that were answered with ENOMEM, by a malloc that then kept every block, "
            "told its callers and resumed service. `kth` tests meet each k up to 200, one process "
            "each, as long as the malloc makes so many such calls (glibc, for one, gives no pages "
            "back by `madvise` while it runs).",
            "",
            *injected(full["allocators"] if (full := load(FULL)) else allocators),
        ]
        lines += [
            "## Misuse",
            "",
            "Stopped of tried, over five block sizes; in brackets those "
            "stopped on purpose, with a message. The others crashed by accident or were "
            "refused.",
            "",
            *misuse(allocators),
        ]
        cost = load("misuse-cost.json")
        if cost is not None:
            long, ratio = cost["instructions"], cost["ratio"]
            lines += [
                "What `hakmem` stops on purpose without checked mode, it sees on slow paths, where "
                "the descriptors are at hand, and by one comparison in `free`: is it the block "
                f"that was freed last? `free` has {long['with']} instructions so, and "
                f"{long['without']} without it; the rate with it, over that without, is "
                f"{ratio['median']:.3f} in the median of "
                f"{cost['pairs']} pairs of runs by turns on one thread of "
                f"{' and '.join(f'`{name}`' for name in cost['workloads'])}, and between "
                f"{ratio['low']:.3f} and {ratio['high']:.3f} in half of them.",
                "",
            ]
        lines += ["## Every promise", "", *every_promise(allocators)]
    faults = load("faults.json")
    if faults is not None:
        rows = [["fault", "found by", "in its words"]]
        for row in faults["rows"]:
            first = row["found"][0] if row["found"] else {"probe": "nothing", "why": ""}
            rows.append([row["fault"], f"`{first['probe']}`", first["why"]])
        caught = sum(bool(row["found"]) for row in faults["rows"])
        lines += [
            "## Faults seeded and found",
            "",
            f"A malloc with one fault at a time: {caught} of {len(rows) - 1} are found.",
            "",
            *grid(rows),
        ]
    sanitizers = load("sanitizers.json")
    if sanitizers is not None:
        lines += [
            "## Sanitizers and Valgrind",
            "",
            "The C tests of the allocator and of the promises, the allocator linked in under its "
            "own names; no suppressions. Hours are those of the tests, one after another.",
            "",
            *sanitized(sanitizers["rows"]),
        ]
    real = load("real.json")
    if real is not None:
        rows = [["program", "malloc", "output", "processes it was mapped in", "reason"]]
        rows += [
            [r["program"], r["allocator"], r["result"], str(r["processes"]), r["reason"]]
            for r in real["rows"]
        ]
        lines += [
            "## Real programs",
            "",
            "Output compared with a run on the system's malloc.",
            "",
            *grid(rows),
        ]
    machines = load("machines.json")
    if machines is not None:
        names = ["machine", "Python", "libc", "compiler", "what ran", "result", "seconds"]
        keys = ["machine", "python", "libc", "compiler", "ran"]
        rows = [names]
        for r in machines["rows"]:
            result = f"{r['result']}: {r['reason']}" if r["reason"] else r["result"]
            rows.append([*(r[key] or "–" for key in keys), result, str(r["seconds"])])
        lines += [
            "## Machines",
            "",
            "A new user's first commands, each from a fresh clone, by `make machines`: in "
            "minimal Debian roots, with other Pythons, below a folder with a space and an umlaut, "
            "by a user without rights or home, from an installed wheel without a compiler.",
            "",
            *grid(rows),
        ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """The command; returns the exit code: 1 if --check finds the page stale."""
    parser = argparse.ArgumentParser(description="makes docs/reliability.md")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record").add_argument("files", nargs="+")
    commands.add_parser("faults")
    commands.add_parser("render").add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.command == "record":
        record(options.files)
    elif options.command == "faults":
        seed_faults()
    elif options.check:
        if not PAGE.exists() or PAGE.read_text() != page():
            print(
                "docs/reliability.md is stale: python -m tools.reliability render", file=sys.stderr
            )
            return 1
    else:
        write_whole(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
