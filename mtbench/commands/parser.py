"""The command line: every option of every subcommand, and which function serves it.

Handlers are named, not imported, so that `--help` costs only argparse.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from mtbench.base.table import one_line
from mtbench.errors import Exit, UsageError
from mtbench.plan.bounds import (
    COUNT,
    EVERY,
    PAUSE,
    RATIO,
    SECONDS,
    SEED,
    SHARE,
    TRIALS,
    WINDOW,
    Number,
)
from mtbench.plan.plan import PINS

_SWEEP_EXAMPLES = """examples:
  mtbench sweep --quick                          every installed malloc, 5 workloads, ~90 s
  mtbench sweep -a hakmem,system,tcmalloc -w mid_gap,larson -t 1-64 -n 3
  mtbench sweep -a hakmem,hakmem:registry=locked,mine=/opt/libmine.so -w all -t 1,2,4
  mtbench sweep --resume runs/20261123T101500Z-host

exit codes: 0 fine, 1 the tool failed, 2 wrong usage, 4 some cells failed, 130 interrupted (143 by
SIGTERM, 129 by a terminal that closed)"""

_RUN_EXAMPLES = """examples:
  mtbench run -a hakmem -w mid_gap -t 8
  mtbench run -a jemalloc -w mid_exchange -t 64 -n 5 --json
  mtbench run -a hakmem:registry=locked -w mid_gap -t 8 --locks"""

_EXEC_EXAMPLES = """examples:
  mtbench exec -- xz -T2 -k -c data.tar
  mtbench exec -a system,hakmem,jemalloc -n 20 --prepare 'rm -f out.db' -- sqlite3 out.db '.read q'
  mtbench exec -p perl,z3,redis -a hakmem,system,mimalloc      of `mtbench list programs`
  mtbench exec -t 1,2,4 -- xz -T{threads} -k -c data.tar
  mtbench exec -a 'system,arenas1=system,MALLOC_ARENA_MAX=1' --by peak -- python3 job.py
  mtbench exec --server 'redis-server --port 7000 --save ""' \\
      --client 'redis-benchmark -p 7000 -t set -q' --metric 'requests/s=([0-9.]+) requests per'

every run is proven: the library is seen mapped in the process and in the children it starts; a
child that runs without is named and fails the run, and CPU time in unseen children is told
exit codes: 0 fine, 1 the tool failed, 2 wrong usage, 4 some runs failed, 130 interrupted (143 by
SIGTERM, 129 by a terminal that closed)"""

_REPORT_EXAMPLES = """examples:
  mtbench report runs/20261123T101500Z-host
  mtbench report RUN --format png --width 180 --dpi 300 -o /tmp/figures
  mtbench report RUN --markdown"""

_COMPARE_EXAMPLES = """examples:
  mtbench compare runs/before runs/after                 text; exit 3 on a regression over 5 %
  mtbench compare A B C --format markdown --threshold 0.1"""

_RANK_EXAMPLES = """examples:
  mtbench rank runs/20261123T101500Z-host --of hakmem
  mtbench rank RUN --of hakmem --fail-below 1.0          exit 3 if any cell is below"""

_LIST_EXAMPLES = """examples:
  mtbench list                 allocators and workloads
  mtbench list options         hakmem's options, as -a hakmem:NAME=VALUE takes them
  mtbench list schema          JSON Schema of a run's manifest.json and trials.jsonl
  mtbench list sizes mid_gap   what a workload allocates
  mtbench list workloads --show mid_gap > mine.toml      a file for -w mine.toml
  mtbench list programs --show jq > mine.toml            a file for exec -p mine.toml"""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.register("type", None, _word)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuses what a subcommand does not know in its own name, with its own help."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """One line, as for every other wrong use."""
        self.exit(Exit.USAGE, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def _word(text: str) -> str:
    """Whatever an option takes is not nothing: that is what an unset variable expands to."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; is a variable of the shell not set?")
    return text


def _read(number: Number) -> Callable[[str], Any]:
    """A number as argparse reads it, which tells of a wrong one in its own words."""

    def read(text: str) -> Any:
        try:
            return number.read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    read.__name__ = number.name
    return read


def _bytes(text: str) -> int:
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = text.upper().removesuffix("IB").removesuffix("B"), ""
    if number and number[-1] in units:
        number, unit = number[:-1], number[-1]
    try:
        size = int(float(number) * units[unit])
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 512M or 2G")
    return size


_bytes.__name__ = "size"


def _subcommand(
    commands: argparse._SubParsersAction[_Parser], name: str, handler: str, help_: str, epilog: str
) -> _Parser:
    parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}" + ("" if help_.endswith("?") else "."),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    return parser


def _add_measuring(parser: _Parser) -> None:
    add = parser.add_argument
    add("-n", "--trials", type=_read(TRIALS), metavar="N", help="trials per cell (default 8)")
    add(
        "--duration",
        type=_read(WINDOW),
        metavar="S",
        help="measuring window, seconds (default 0.5)",
    )
    add("--warmup", type=_read(PAUSE), metavar="S", help="before the window, seconds (default 0.1)")
    add(
        "--timeout",
        type=_read(SECONDS),
        metavar="S",
        help="end a trial after S seconds (default 10 x the expected time, at least 20)",
    )
    add("--seed", type=_read(SEED), metavar="N", help="of the order and the workloads (default 1)")
    add(
        "--pin",
        choices=PINS,
        help="bind threads to CPUs (default none)",
    )
    add(
        "--verify",
        action="store_true",
        help="fill and check every block (finds corruption; not for speed)",
    )
    add(
        "--latency-every",
        type=_read(EVERY),
        metavar="N",
        help="time one call in N (default 256), or fewer so that it costs < 1 %%; 0: none",
    )
    add(
        "--memory",
        type=_bytes,
        metavar="SIZE",
        help="most resident memory a worker may use (default 3/4 of what is available)",
    )


def _add_program(parser: _Parser) -> None:
    add = parser.add_argument
    # A program's own words may be empty.
    add("program", nargs="*", type=str, metavar="PROGRAM ARGS", help="what to run, after --")
    add(
        "-a",
        "--allocators",
        action="append",
        metavar="LIST",
        help="as for sweep (default all but null)",
    )
    add(
        "-p",
        "--programs",
        action="append",
        metavar="LIST",
        help="of `mtbench list programs`: names, files.toml, or all",
    )
    add(
        "-t",
        "--threads",
        metavar="LIST",
        help="what {threads} in a command stands for: 1-8 or 1,2,8 (default 1)",
    )
    add("-n", "--trials", type=_read(TRIALS), metavar="N", help="runs per allocator (default 10)")
    add("--server", metavar="CMD", help="run this under the allocator, and the client beside it")
    add(
        "--client", metavar="CMD", help="what is timed with --server; the system's malloc serves it"
    )
    add("--ready", metavar="CMD", help="succeeds once the server serves (default: it listens)")
    add(
        "--metric",
        action="append",
        metavar="[NAME=]REGEX",
        help="a number in the output, the last match's first group; the first one is compared",
    )
    add("--lower", action="store_true", help="less is better in --metric")
    add(
        "--by",
        choices=("wall", "cpu", "peak", "faults"),
        help="what is compared (default the first --metric, else wall)",
    )
    add(
        "--check",
        metavar="stdout|CMD",
        help="what must be the same after every run: its output, or a command's",
    )
    add("--stdin", metavar="FILE", help="the program's standard input (default none)")
    add("--memory", type=_bytes, metavar="SIZE", help="end a run that holds more than this")
    add("--setup", metavar="CMD", help="once, before the first run (sh)")
    add(
        "--prepare",
        metavar="CMD",
        help="before every run, not timed (sh); $MTBENCH_ROUND counts from 1",
    )
    add("--conclude", metavar="CMD", help="after every run, not timed (sh)")
    add("--cleanup", metavar="CMD", help="once, after the last run (sh)")
    add(
        "--shell",
        default="none",
        metavar="SHELL",
        help="run the program through this shell (default none: its words are as given)",
    )
    add("--ignore-exit-code", action="store_true", help="any exit code is fine")
    add(
        "--timeout",
        type=_read(SECONDS),
        metavar="S",
        help="end a run, or a command around it, after S seconds (default 600)",
    )
    add("--seed", type=_read(SEED), metavar="N", help="of the order (default 1)")
    add("--name", help="of the program in tables (default its file name)")
    add("-o", "--output", metavar="DIR", help="run directory (default runs/TIME-HOST)")
    add("--resume", metavar="RUN", help="finish what is missing in RUN; nothing is repeated")
    add("--title", help="title of the report")
    add("--json", action="store_true", help="print the result as JSON instead of a table")


def _add_talk(parser: _Parser) -> None:
    add = parser.add_argument
    add("--no-progress", action="store_true", help="no progress on stderr")
    add("-q", "--quiet", action="store_true", help="only the results and errors")
    add("-v", "--verbose", action="store_true", help="a line for every trial")


def build_parser(argv: list[str]) -> argparse.ArgumentParser:
    """The whole command line; `verify` brings its own options when it is asked for."""
    parser = _Parser(
        prog="mtbench",
        description="How does a malloc behave when threads are added, and why?",
        epilog="mtbench COMMAND --help shows examples. Start with: mtbench sweep --quick",
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    commands.type = str  # all that follows passes through it, a program's own words too

    sweep = _subcommand(
        commands,
        "sweep",
        "mtbench.commands.sweep:command",
        "run the grid and write the report",
        _SWEEP_EXAMPLES,
    )
    add = sweep.add_argument
    add(
        "-a",
        "--allocators",
        action="append",
        metavar="LIST",
        help="names, NAME=/path/lib.so, hakmem:OPTION=VALUE, or all (default all)",
    )
    add(
        "-w",
        "--workloads",
        action="append",
        metavar="LIST",
        help="names, NAME:OPTION=VALUE, files.toml, or all (default the quick ones)",
    )
    add("-t", "--threads", metavar="LIST", help="1-64 (powers of two) or 1,2,3,8 (default 1-64)")
    add("-o", "--output", metavar="DIR", help="run directory (default runs/TIME-HOST)")
    add("--resume", metavar="RUN", help="finish what is missing in RUN; nothing is repeated")
    add("--quick", action="store_true", help="a useful answer in about 90 s of measuring")
    add("--title", help="title of the report")
    add("--json", action="store_true", help="print the cells as JSON instead of tables")
    add("--cluster", metavar="ADDRESS", help="measure on a Dask cluster's hosts: tcp://HOST:8786")
    add(
        "--on-each-host",
        action="store_true",
        help="the whole grid on every host (default: each workload on one host)",
    )
    _add_measuring(sweep)
    _add_talk(sweep)

    run = _subcommand(
        commands, "run", "mtbench.commands.run:command", "one cell, printed", _RUN_EXAMPLES
    )
    add = run.add_argument
    add("-a", "--allocator", default="hakmem", metavar="NAME", help="default hakmem")
    add("-w", "--workload", default="mid_gap", metavar="NAME", help="default mid_gap")
    add("-t", "--threads", type=_read(COUNT), default=1, metavar="N", help="default 1")
    add("--locks", action="store_true", help="the allocator's lock table, hottest first")
    add("--json", action="store_true", help="every record and the summary as JSON")
    _add_measuring(run)
    _add_talk(run)

    exec_ = _subcommand(
        commands,
        "exec",
        "mtbench.commands.exec:command",
        "a real program under each allocator",
        _EXEC_EXAMPLES,
    )
    _add_program(exec_)
    _add_talk(exec_)

    report = _subcommand(
        commands,
        "report",
        "mtbench.commands.report:command",
        "rebuild figures and report from run directories",
        _REPORT_EXAMPLES,
    )
    add = report.add_argument
    add("run", nargs="+", metavar="RUN", help="run directory; several stand side by side")
    add("-o", "--output", metavar="DIR", help="where to write (default the first RUN)")
    add(
        "--format",
        metavar="LIST",
        default="html,csv,svg",
        help="what to write: html, csv, md, and svg, png, pdf figures (default html,csv,svg)",
    )
    add("--width", metavar="MM", type=float, help="width of svg, png and pdf figures (default own)")
    add("--dpi", metavar="N", type=int, default=150, help="pixels per inch of png (default 150)")
    add("--markdown", action="store_true", help="print the report as Markdown, write nothing")
    add("--title", help="title of the report")
    add("-q", "--quiet", action="store_true", help="print nothing but errors")

    compare = _subcommand(
        commands,
        "compare",
        "mtbench.commands.compare:command",
        "two or more runs: ratios with intervals",
        _COMPARE_EXAMPLES,
    )
    add = compare.add_argument
    add("runs", nargs="+", metavar="RUN", help="the first is the base")
    add(
        "--threshold",
        type=_read(SHARE),
        default=0.05,
        metavar="SHARE",
        help="a slower cell beyond this is a regression, exit 3 (default 0.05)",
    )
    add("--across-machines", action="store_true", help="compare runs of different machines")
    formats = ("text", "markdown", "json", "csv")
    add("--format", choices=formats, default="text", help="of the table (default text)")
    add("--json", action="store_const", const="json", dest="format", help="same as --format json")

    rank = _subcommand(
        commands,
        "rank",
        "mtbench.commands.rank:command",
        "one run: an allocator against the best of the others",
        _RANK_EXAMPLES,
    )
    add = rank.add_argument
    add("run", metavar="RUN", help="run directory")
    add("--of", default="hakmem", metavar="NAME", help="the allocator to rank (default hakmem)")
    add("--against", metavar="LIST", help="only these (default all but null and its own variants)")
    add(
        "--fail-below", type=_read(RATIO), metavar="X", help="exit 3 if any cell's ratio is below X"
    )
    add("--json", action="store_true", help="print the cells as JSON instead of a table")
    add("--markdown", action="store_true", help="a table for documents")

    list_ = _subcommand(
        commands,
        "list",
        "mtbench.commands.list:command",
        "allocators | workloads | programs | sizes | options | schema",
        _LIST_EXAMPLES,
    )
    add = list_.add_argument
    things = ("allocators", "workloads", "programs", "sizes", "options", "schema")
    add("what", nargs="?", choices=things, help="default: allocators and workloads")
    add("name", nargs="?", help="one, of sizes, workloads or programs")
    add("--show", metavar="NAME", help="print it as TOML, to start a file for -w or -p from")
    add("--json", action="store_true", help="print it as JSON")

    doctor = _subcommand(
        commands,
        "doctor",
        "mtbench.commands.doctor:command",
        "what on this machine will spoil measurements, and what to do about it",
        "exit code 0 if nothing spoils them, 4 if something does",
    )
    doctor.add_argument("--json", action="store_true", help="print the facts as JSON")

    verify = _subcommand(
        commands, "verify", "mtbench.commands.verify:main", "does a malloc keep its promises?", ""
    )
    if "verify" in argv[:1]:
        import_module("mtbench.commands.verify").add_arguments(verify)
    return parser
