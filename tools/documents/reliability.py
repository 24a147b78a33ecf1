"""The tables of docs/reliability.md, from the result files in docs/data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from plots.pages.table import markdown_table
from tools.exceptions import EXCEPTIONS
from tools.keep import FULL, load
from tools.repository import Json

LAST_K = 200
SIZES = ("tiny", "small", "mid", "large", "huge")
MARKS = {"kept": "✓", "broken": "**✗**", "inapplicable": "–"}


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, every column to the left; the first row is its head."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return markdown_table(head, body, align="l")


def verified() -> list[Json]:
    """What `mtbench verify` found of each malloc, in the quick form."""
    allocators: list[Json] = load("verify.json")["allocators"]
    return allocators


def where() -> str:
    """On what the promises were tested."""
    results = load("verify.json")
    host = results["machine"]
    form = "quick" if results["quick"] else "full"
    return (
        f"`mtbench verify` on {host['libc']}, Linux {host['kernel']}, {host['architecture']}, "
        f"{host['cores']} cores, the {form} form of every test. "
        "✓ kept, ✗ broken, – not applicable."
    )


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


def summary() -> str:
    """The areas, the total, the misuse programs."""
    allocators = verified()
    areas = [
        a for a in dict.fromkeys(v["area"] for v in allocators[0]["verdicts"]) if a != "misuse"
    ]
    rows = [["area", *(a["label"] for a in allocators)]]
    rows += [[area, *(score(verdicts(a, area)) for a in allocators)] for area in areas]
    rows.append(["**all promises**", *(f"**{score(verdicts(a))}**" for a in allocators)])
    rows.append(["misuse stopped", *(score(verdicts(a, "misuse")) for a in allocators)])
    purpose = [str(sum(v["stop"] == "purpose" for v in a["verdicts"])) for a in allocators]
    return grid([*rows, ["- on purpose, with a message", *purpose]])


def every_promise() -> str:
    """A row per promise."""
    allocators = verified()
    results = [{v["name"]: v["result"] for v in a["verdicts"]} for a in allocators]
    rows = [["promise", "test", *(a["label"] for a in allocators)]]
    for verdict in allocators[0]["verdicts"]:
        if verdict["area"] != "misuse":
            name = verdict["name"]
            marks = [MARKS.get(r.get(name, ""), "") for r in results]
            rows.append([verdict["line"], f"`{name}`", *marks])
    return grid(rows)


def broken() -> str:
    """What each malloc breaks, in the probe's words, with the known reason where there is one."""
    lines = []
    for allocator in verified():
        found = [v for v in verdicts(allocator) if v["result"] == "broken"]
        if not found:
            continue
        lines += [f"### {allocator['label']}", ""]
        known = EXCEPTIONS.get(allocator["label"], {})
        for verdict in found:
            reason = f" ({known[verdict['name']]})" if verdict["name"] in known else ""
            lines.append(f"- `{verdict['name']}`: {verdict['why']}{reason}")
        lines.append("")
    return "\n".join(lines).rstrip()


def misuse() -> str:
    """A row per fault, its sizes together: stopped (on purpose) of tried."""
    allocators = verified()
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


def injected() -> str:
    """How many refused system calls each malloc lived through, as its probes counted them.

    Where the program cannot make a malloc call so often, the last k that was reached is said.
    """
    allocators = load(FULL)["allocators"]
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


def sanitized() -> str:
    """A row per tool and compiler: all recorded runs together."""
    rows = load("sanitizers.json")["rows"]
    table = [["tool", "compiler", "runs", "tests run", "failed", "reports", "hours"]]
    for tool, compiler in dict.fromkeys((r["tool"], r["compiler"]) for r in rows):
        of = [r for r in rows if (r["tool"], r["compiler"]) == (tool, compiler)]
        sums = [str(sum(r[key] for r in of)) for key in ("tests", "failed", "reports")]
        hours = f"{sum(r['seconds'] for r in of) / 3600:.2f}"
        table.append([tool, compiler, str(len(of)), *sums, hours])
    return grid(table)


def misuse_cost() -> str:
    """What the default mode's look for a double free costs."""
    cost = load("misuse-cost.json")
    long, ratio = cost["instructions"], cost["ratio"]
    return (
        "What `hakmem` stops on purpose without checked mode, it sees on slow paths, where the "
        "descriptors are at hand, and by one comparison in `free`: is it the block that was freed "
        f"last? `free` has {long['with']} instructions so, and {long['without']} without it; the "
        f"rate with it, over that without, is {ratio['median']:.3f} in the median of "
        f"{cost['pairs']} pairs of runs by turns on one thread of "
        f"{' and '.join(f'`{name}`' for name in cost['workloads'])}, and between "
        f"{ratio['low']:.3f} and {ratio['high']:.3f} in half of them."
    )


def faults() -> str:
    """A row per planted fault, and who found it first."""
    seeded = load("faults.json")["rows"]
    rows = [["fault", "found by", "in its words"]]
    for row in seeded:
        first = row["found"][0] if row["found"] else {"probe": "nothing", "why": ""}
        rows.append([row["fault"], f"`{first['probe']}`", first["why"]])
    caught = sum(bool(row["found"]) for row in seeded)
    return (
        f"A malloc with one fault at a time: {caught} of {len(seeded)} are found.\n\n{grid(rows)}"
    )


def real() -> str:
    """A row per program and malloc."""
    rows = [["program", "malloc", "output", "processes it was mapped in", "reason"]]
    rows += [
        [r["program"], r["allocator"], r["result"], str(r["processes"]), r["reason"]]
        for r in load("real.json")["rows"]
    ]
    return grid(rows)


def machines() -> str:
    """A row per machine on which a new user's first commands were tried."""
    rows = [["machine", "Python", "libc", "compiler", "what ran", "result", "seconds"]]
    keys = ["machine", "python", "libc", "compiler", "ran"]
    for r in load("machines.json")["rows"]:
        result = f"{r['result']}: {r['reason']}" if r["reason"] else r["result"]
        rows.append([*(r[key] or "–" for key in keys), result, str(r["seconds"])])
    return grid(rows)


PARTS = {
    "where": where,
    "summary": summary,
    "broken": broken,
    "refused": injected,
    "misuse": misuse,
    "misuse_cost": misuse_cost,
    "every_promise": every_promise,
    "faults": faults,
    "sanitizers": sanitized,
    "real": real,
    "machines": machines,
}
