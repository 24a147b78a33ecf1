"""Every command that the README and the help texts show is one that the parser takes."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess

import pytest

from mtbench.commands.parser import build_parser
from tools.repository import ROOT

README = ROOT / "README.md"


def shown(text: str) -> list[str]:
    """The commands of a text: lines that begin with `mtbench`, without the words beside them."""
    joined = re.sub(r" *\\\n *", " ", text)
    lines = re.findall(r"^ *(mtbench [a-z].*)$", joined, re.M)
    return [re.split(r" {3,}", line)[0].split(" > ")[0] for line in lines]


def examples() -> str:
    """The code blocks of the README that are of no other language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
    return "".join(block for language, block in blocks if not language)


def helps() -> str:
    """What `mtbench COMMAND --help` prints of each command."""
    (commands,) = (
        action
        for action in build_parser([])._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return "\n".join(parser.format_help() for parser in commands.choices.values())


@pytest.mark.parametrize("text", [examples(), helps()], ids=["README", "help"])
def test_each_command_shown_is_taken_by_the_parser(text: str) -> None:
    commands = shown(text)
    assert len(commands) >= 10
    for command in commands:
        arguments = shlex.split(command)[1:]
        if arguments[0] == "COMMAND":
            continue
        try:
            build_parser(arguments).parse_args(arguments)
        except SystemExit:
            pytest.fail(command)


def test_make_help_has_a_line_for_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z0-9-]+):", makefile, re.M)
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = re.findall(r"^([a-z0-9-]+) +[A-Z].*\.$", done.stdout, re.M)
    assert told == targets
    assert max(map(len, done.stdout.splitlines())) <= 100
