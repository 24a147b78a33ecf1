"""Tables of docs/measurement.md, from what `make aa` and `make cost` kept."""

from __future__ import annotations

import json

from plots.pages.table import markdown_table
from tools import own_cost
from tools.repository import DATA, Json

VERDICTS = ("faster", "slower", "no difference seen")
VIEWS = {
    "paired": "paired, as `sweep` and `rank` do",
    "two_runs": "as two runs, as `compare` does",
    "by_processor_time": "paired, operations per CPU second",
}


def kept(name: str) -> Json:
    """docs/data/NAME.json."""
    document: Json = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return document


def experiment(name: str) -> str:
    """What was run, on how quiet a machine, and every verdict that was given."""
    found = kept(name)
    quiet = "quiet" if found["quiet"] else "not quiet: other work took processor time"
    rows = [[VIEWS[view], *(str(found[view][verdict]) for verdict in VERDICTS)] for view in VIEWS]
    return (
        f"{found['comparisons']} comparisons, {found['trials_a_side']} trials per side, windows of "
        f"{found['duration_s']:g} s, `{found['allocator']}`, `{found['workload']}`, "
        f"{found['threads']} thread; {found['machine']}. In 19 of 20 trials the thread had at "
        f"least {found['processor_share'] * 100:.1f} % of a processor ({quiet}). A trial's spread "
        f"is {found['spread_of_a_trial'] * 100:.1f} %, the median effect "
        f"{found['effect'] * 100:+.2f} %, by processor time "
        f"{found['processor_effect'] * 100:+.2f} %.\n\n"
        + markdown_table(["verdicts", *VERDICTS], rows)
    )


def by_trials() -> str:
    """False claims and slowdowns found, for several numbers of trials per side."""
    aa, planted = kept("aa"), kept("planted")
    rows = [
        [trials, f"{(1 - right) * 100:.1f} %", f"{planted['share_by_trials'][trials] * 100:.1f} %"]
        for trials, right in aa["share_by_trials"].items()
    ]
    return markdown_table(["trials per side", "false claims", "5 % slowdown found"], rows)


def promises() -> str:
    """The two promises and whether the kept data kept them."""
    rows = []
    for name, least, text in (
        ("aa", 0.95, 'A against A: "no difference seen" in at least 95 %'),
        ("planted", 0.9, '5 % slower: "slower" in at least 90 %'),
    ):
        found = kept(name)
        share = found["paired"][found["wanted"]] / found["comparisons"]
        state = "kept" if share >= least else "not kept on this machine"
        rows.append([text, f"{share * 100:.1f} %", state])
    return markdown_table(["promise", "found", ""], rows)


def cost() -> str:
    """What the tool costs, against what is promised."""
    found = kept("cost")
    table = markdown_table(own_cost.HEADER, own_cost.cells(found, "not kept"))
    return f"{found['machine']}; load average {found['load1']:.1f} at the end.\n\n{table}"


PARTS = {
    "promises": promises,
    "aa": lambda: experiment("aa"),
    "planted": lambda: experiment("planted"),
    "by_trials": by_trials,
    "cost": cost,
}
