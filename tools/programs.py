"""Makes the table of docs/guide.md from docs/data/programs.json. No number is typed by hand.

python -m tools.programs measure [-n 10]   run the programs under each malloc, record the results
python -m tools.programs render [--check]  write the table into the page, or say it is stale
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mtbench.base.written import write_whole
from plots.pages.table import markdown_table
from tools.repository import DATA, DOCS, Json

KEPT = DATA / "programs.json"
PAGE = DOCS / "guide.md"
BEGIN, END = "<!-- programs: made by tools/programs.py -->", "<!-- /programs -->"
ALLOCATORS = "system,hakmem,jemalloc,tcmalloc,mimalloc"

THREADED_JSON = """
import json, threading
text = json.dumps([{"id": i, "tags": [str(i)] * 8} for i in range(2000)])
def work():
    for _ in range(12):
        json.dumps(json.loads(text))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
SQL = """
create table t(k integer primary key, v text);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 150000)
insert into t select i, hex(randomblob(24)) from c;
create index v on t(v);
select count(*) from (select v, count(*) from t group by substr(v, 1, 3));
"""
PROGRAMS: dict[str, list[str]] = {
    "python3, JSON in 4 threads": ["--", "/usr/bin/python3", "json_threads.py"],
    "sqlite3, build and group": ["--", "sqlite3", ":memory:", ".read build.sql"],
    "xz -T2": ["--", "xz", "-T2", "-2", "--block-size=1MiB", "-k", "-c", "text"],
    "redis-server, lpush": [
        "--server",
        "redis-server --port 7399 --save '' --appendonly no",
        "--client",
        "redis-benchmark -p 7399 -t lpush -n 60000 -d 100 -q",
        "--metric",
        r"requests/s=([\d.]+) requests per second",
    ],
}


def measure(trials: int) -> None:
    """Run every program and keep what `mtbench exec --json` says."""
    kept: Json = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "json_threads.py").write_text(THREADED_JSON)
        (place / "build.sql").write_text(SQL)
        lines = (f"{i * 2654435761 % 2**32:08x} {i % 977}\n" for i in range(300_000))
        (place / "text").write_text("".join(lines))
        for number, (name, words) in enumerate(PROGRAMS.items()):
            command = [sys.executable, "-m", "mtbench", "exec", "-a", ALLOCATORS]
            command += ["-n", str(trials), "--json", "-q", "-o", str(place / f"run{number}")]
            done = subprocess.run(
                [*command, *words], cwd=place, stdout=subprocess.PIPE, text=True, check=True
            )
            kept[name] = json.loads(done.stdout)
            manifest = json.loads((place / f"run{number}" / "manifest.json").read_text())
            kept[name]["machine"] = manifest["machine"]
    write_whole(KEPT, json.dumps(kept, indent=1) + "\n")


def table(kept: Json) -> str:
    """The page's part between its two marks."""
    machines = {entry["machine"] for entry in kept.values()}
    header = ("program", "allocator", "median", "/ system", "verdict", "CPU s", "peak MiB", "runs")
    rows: list[list[str]] = []
    for name, entry in kept.items():
        for cell in entry["cells"]:
            measures, ratios = cell["measures"], cell["ratios"]
            own = [key for key in measures if key == "requests/s"]
            key = own[0] if own else "wall_s"
            median = f"{measures[key][0]:.3g} s" if key == "wall_s" else f"{measures[key][0]:.0f}/s"
            found = ratios.get(key)
            ratio = f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]" if found else "–"
            spent = f"{measures['user_s'][0] + measures['system_s'][0]:.2f}"
            verdict = cell["verdict"] or ("no difference seen" if found else "–")
            peak, runs = f"{measures['rss_peak'][0] / 2**20:.1f}", str(cell["trials"])
            rows.append([name, cell["allocator"], median, ratio, verdict, spent, peak, runs])
    measured = f"Measured on {', '.join(sorted(machines))}."
    shown = markdown_table(header, rows, align="llrrlr")
    return "\n".join([BEGIN, "", measured, "", shown, "", END])


def rendered() -> str:
    """The page with the table in it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table(json.loads(KEPT.read_text())) + after


def check() -> int:
    """Say whether the page has the table already; the exit code."""
    if PAGE.read_text() == rendered():
        return 0
    print(f"{PAGE} is stale; run: python -m tools.programs render", file=sys.stderr)
    return 1


def main() -> int:
    """Measure or render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("measure").add_argument("-n", type=int, default=10)
    actions.add_parser("render").add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.action == "measure":
        measure(args.n)
    elif args.check:
        return check()
    write_whole(PAGE, rendered())
    return 0


if __name__ == "__main__":
    sys.exit(main())
