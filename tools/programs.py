"""Makes the table of docs/guide/program.md from docs/data/programs.json.

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
from typing import Any

from mtbench.base.written import write_whole
from tools.repository import DATA, DOCS

KEPT = DATA / "programs.json"
PAGE = DOCS / "guide" / "program.md"
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

Json = dict[str, Any]


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
    lines = [
        BEGIN,
        "",
        f"Measured on {', '.join(sorted(machines))}.",
        "",
        "| program | allocator | median | / system | verdict | CPU s | peak MiB | runs |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, entry in kept.items():
        for cell in entry["cells"]:
            measures, ratios = cell["measures"], cell["ratios"]
            own = [key for key in measures if key == "requests/s"]
            key = own[0] if own else "wall_s"
            median = f"{measures[key][0]:.3g} s" if key == "wall_s" else f"{measures[key][0]:.0f}/s"
            found = ratios.get(key)
            ratio = f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]" if found else "–"
            spent = measures["user_s"][0] + measures["system_s"][0]
            verdict = cell["verdict"] or ("no difference seen" if found else "–")
            lines.append(
                f"| {name} | {cell['allocator']} | {median} | {ratio} | {verdict} | {spent:.2f} | "
                f"{measures['rss_peak'][0] / 2**20:.1f} | {cell['trials']} |"
            )
    return "\n".join([*lines, "", END])


def render(check: bool) -> int:
    """Write the table into the page; with `check`, only say whether it is there already."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    fresh = before + table(json.loads(KEPT.read_text())) + after
    if check:
        if fresh != page:
            print(f"{PAGE} is stale; run: python -m tools.programs render", file=sys.stderr)
        return int(fresh != page)
    write_whole(PAGE, fresh)
    return 0


def main() -> int:
    """Measure or render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("measure").add_argument("-n", type=int, default=10)
    actions.add_parser("render").add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.action == "render":
        return render(args.check)
    measure(args.n)
    return render(False)


if __name__ == "__main__":
    sys.exit(main())
