"""The study's command.

python -m study measure [--quick] [--resume]  run the sweeps into runs/study (or build/study/runs)
python -m study render [--quick]              keep the runs' data, write the document from it
python -m study keep RUNS NAME                add a run of another machine, shown beside

With --quick everything is written under build/study. The committed page is renewed from kept data,
and held against it, by `python -m tools.documents`, as every document is.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

from mtbench.base.written import write_whole
from mtbench.errors import Exit, MtbenchError
from study import measure, store
from study.render import Place, draw, page
from tools.repository import DATA, DOCS

RUNS = Path("runs/study")
QUICK = Path("build/study")
COMMITTED = Place(DOCS / "study.md", DOCS / "figures", DATA / "study")
SCRATCH = Place(QUICK / "study.md", QUICK / "figures", QUICK / "data")


def main(arguments: list[str]) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=("measure", "render", "keep"))
    parser.add_argument("names", nargs="*", metavar="RUNS NAME", help="of keep")
    parser.add_argument("--quick", action="store_true", help="about three minutes, build/study")
    parser.add_argument("--resume", action="store_true", help="go on with what is there")
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
        if runs.is_dir():
            store.keep(runs, place.data)
        draw(place)
        write_whole(place.document, page(place))
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
