"""Runs real programs under each malloc and keeps the results for docs/guide/program.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from mtbench.base.written import write_whole
from tools.repository import DATA, Json

KEPT = DATA / "programs.json"
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


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m tools.programs", description=__doc__)
    parser.add_argument("-n", "--trials", type=int, default=10, help="runs of each (default 10)")
    measure(parser.parse_args().trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
