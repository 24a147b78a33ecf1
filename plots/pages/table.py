"""Tables in GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_RULES = {"l": "---", "r": "---:"}


def markdown_row(texts: Iterable[str]) -> str:
    """One line of a table. The texts are taken as they are."""
    return f"| {' | '.join(texts)} |"


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "lr"
) -> str:
    """A whole table, without a newline at its end. align: l or r, left or right, for each column;
    the last letter is for all that follow."""
    whole = align.ljust(len(header), align[-1])
    rule = [_RULES[letter] for letter in whole[: len(header)]]
    return "\n".join(markdown_row(line) for line in (header, rule, *rows))
