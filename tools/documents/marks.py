"""A part of a document that is made, not written: between `<!-- table: NAME -->` and
`<!-- end -->`, each on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mtbench.errors import MtbenchError

Parts = Mapping[str, Callable[[], str]]
"""The name of a part, and what makes its Markdown, without a newline at the end."""

MARKS = re.compile(r"^(<!-- table: (\w+) -->\n)(.*?)^(<!-- end -->)$", re.DOTALL | re.MULTILINE)


def filled(text: str, parts: Parts) -> str:
    """Returns the document with each of its parts made anew, whatever stood there.

    Raises MtbenchError if the document has a part that is not in `parts`, or lacks one that is.
    """
    marked = [match[2] for match in MARKS.finditer(text)]
    if sorted(marked) != sorted(parts):
        odd = sorted({*marked} ^ {*parts}) or sorted({n for n in marked if marked.count(n) > 1})
        raise MtbenchError(f"parts without a maker, or without a place: {', '.join(odd)}")
    return MARKS.sub(lambda match: f"{match[1]}{parts[match[2]]()}\n{match[4]}", text)
