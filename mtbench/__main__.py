"""`mtbench` and `python -m mtbench`: parse, hand over, turn errors into one line and a code."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from mtbench.base import streams
from mtbench.base.table import one_line
from mtbench.commands.parser import build_parser
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.trial import signals


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    streams.secure()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except MtbenchError as error:
        return _say(str(error), error.code)
    except KeyboardInterrupt as error:
        return _say("interrupted", signals.exit_code(signals.number(error)))
    except OSError as error:
        return _say(f"{_where(error)}: {error.strerror or error}", Exit.FAILED)
    except ValueError as error:
        from workloads.errors import SpecError

        if isinstance(error, SpecError):
            return _say(str(error), UsageError.code)
        raise


def _run(arguments: list[str]) -> int:
    parser = build_parser(arguments)
    chosen = parser.parse_args(arguments)
    if chosen.version:
        from importlib.metadata import version

        print(f"mtbench {version('mtbench')}")
        return Exit.FINE
    if chosen.command is None:
        parser.print_help()
        return Exit.USAGE
    module, _, function = chosen.handler.partition(":")
    return int(getattr(import_module(module), function)(chosen))


def _where(error: OSError) -> str:
    if error.filename:
        return str(error.filename)
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the folder that this was started in is no more"
    return "the system"


def _say(message: str, code: int) -> int:
    print(f"mtbench: {one_line(message)}", file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
