"""A commit is checked with what `make lint` calls."""

import re

from tools.repository import ROOT


def test_every_program_of_make_lint_is_in_a_hook() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^TIDY :=.*?^lint:.*?\n\n", makefile, re.MULTILINE | re.DOTALL)
    assert recipe
    called = set(re.findall(r"\$\(BIN\)/(\S+)", recipe[0])) - {"cmake"}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"entry: \.venv/bin/(\S+)", hooks)) == called
