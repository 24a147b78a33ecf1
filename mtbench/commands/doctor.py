"""`mtbench doctor`: the facts, printed."""

from __future__ import annotations

import argparse
import json

from mtbench.errors import Exit
from mtbench.machine import checks

_MARKS = {"warning": "!!", "unknown": " ?", "note": " *", "ok": "  "}


def command(args: argparse.Namespace) -> int:
    """Print every fact; exit 4 if one of them spoils measurements."""
    facts = checks.examine()
    spoiled = any(fact.severity == "warning" for fact in facts)
    if args.json:
        print(json.dumps(checks.as_json(facts), indent=1))
        return Exit.CELLS_FAILED if spoiled else Exit.FINE
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        print(f"{_MARKS[fact.severity]} {fact.name.ljust(width)}  {fact.found}")
        if fact.severity != "ok":
            if fact.harm:
                print(f"   {' ' * width}  harm: {fact.harm}")
            if fact.remedy:
                print(f"   {' ' * width}  mend: {fact.remedy}")
    print("\n!! spoils numbers   * know it to read them   ? could not be seen from here")
    return Exit.CELLS_FAILED if spoiled else Exit.FINE
