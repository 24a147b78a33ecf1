"""`mtbench` and `python -m mtbench`: parse, hand over, turn errors into one line and a code."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

from mtbench.command import build_parser
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.table import one_line


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _secure_streams()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except MtbenchError as error:
        return _say(str(error), error.code)
    except KeyboardInterrupt:
        return _say("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of the pipe has seen enough (`| head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FINE
    except OSError as error:
        return _say(f"{error.filename or 'the system'}: {error.strerror or error}", Exit.FAILED)
    except ValueError as error:
        if type(error).__name__ == "SpecError":
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


def _secure_streams() -> None:
    """No file that is opened later may take the number of a standard stream that is closed, where
    progress and a child's words would land in it; and no character ends a command."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _say(message: str, code: int) -> int:
    print(f"mtbench: {one_line(message)}", file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
