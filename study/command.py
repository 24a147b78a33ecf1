"""The study's command.

python -m study measure [--quick] [--resume]  run the sweeps into runs/study (or build/study/runs)
python -m study render [--quick] [--check]    keep the runs' data, write the document from it
python -m study keep RUNS NAME                add a run of another machine, shown beside

With --quick everything is written under build/study. `render --check` writes nothing, renders the
kept data, and exits 3 if the document differs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from mtbench.errors import Exit, MtbenchError
from study import measure, store
from study.render import Place, outcome, write
from tools.repository import DATA, DOCS, ROOT

RUNS = Path("runs/study")
QUICK = Path("build/study")
COMMITTED = Place(DOCS / "study.md", DOCS / "figures", DATA / "study", ROOT / "README.md")
SCRATCH = Place(QUICK / "study.md", QUICK / "figures", QUICK / "data", None)


def main(arguments: list[str]) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=("measure", "render", "keep"))
    parser.add_argument("names", nargs="*", metavar="RUNS NAME", help="of keep")
    parser.add_argument("--quick", action="store_true", help="about three minutes, build/study")
    parser.add_argument("--resume", action="store_true", help="go on with what is there")
    parser.add_argument("--check", action="store_true", help="exit 3 if the document is stale")
    chosen = parser.parse_args(arguments)
    runs = QUICK / "runs" if chosen.quick else RUNS
    place = SCRATCH if chosen.quick else COMMITTED
    try:
        if chosen.command == "measure":
            if chosen.quick and not chosen.resume:
                shutil.rmtree(runs, ignore_errors=True)
            questions = measure.asked(short=chosen.quick)
            command = "make study QUICK=1" if chosen.quick else "make study"
            return measure.run(runs, questions, command, resume=chosen.resume)
        if chosen.command == "keep":
            return _keep(place, chosen.names)
        if chosen.check:
            return _check(place)
        if runs.is_dir():
            store.keep(runs, place.data)
        write(place)
    except MtbenchError as error:
        print(f"study: {error}", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    print(f"wrote {place.document}")
    return Exit.FINE


def _keep(place: Place, names: list[str]) -> int:
    if len(names) != 2 or not Path(names[0]).is_dir() or not re.fullmatch(r"[\w.-]+", names[1]):
        print("study: keep needs a folder of runs and a name for them", file=sys.stderr)
        return Exit.USAGE
    store.keep(Path(names[0]), place.data.with_name(f"{place.data.name}-{names[1]}"))
    return Exit.FINE


def _check(place: Place) -> int:
    text, readme = outcome(place)
    stale = [] if place.document.read_text(encoding="utf-8") == text else [place.document.name]
    if place.readme and readme != place.readme.read_text(encoding="utf-8"):
        stale.append(place.readme.name)
    if stale:
        print(f"{', '.join(stale)}: not what the data says; run python -m study render")
        return Exit.GATE
    return Exit.FINE
