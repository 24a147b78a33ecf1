"""study.md.in filled with what the data say, the figures, and the answer in two sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from mtbench.base.table import duration
from mtbench.errors import MtbenchError
from plots.pages.export import save
from study import builds, figures, lookups, registry
from study.store import Part, read_all
from study.words import Answer, counted, listed, upper

HERE = Path(__file__).resolve().parent

ANSWERS: dict[str, Callable[[Part], Answer]] = {
    "seed": registry.seed,
    "ladder": registry.ladder,
    "chunks": lookups.chunks,
    "config": builds.config,
    "pgo": builds.pgo,
    "locks": lookups.locks,
    "peers": builds.peers,
    "crowd": builds.crowd,
}


@dataclass(frozen=True)
class Place:
    """Where a study is written. data: of the main run; further machines' lie beside it as
    data-NAME."""

    document: Path
    figures: Path
    data: Path


def answers(parts: Mapping[str, Part]) -> dict[str, Answer]:
    """What the template needs, for each question that was measured."""
    return {name: make(parts[name]) for name, make in ANSWERS.items() if name in parts}


def others(place: Place) -> dict[str, Mapping[str, Part]]:
    """Runs from further machines by name."""
    prefix = f"{place.data.name}-"
    return {
        path.name.removeprefix(prefix): read_all(path)
        for path in sorted(place.data.parent.glob(f"{prefix}*"))
    }


def text(
    parts: Mapping[str, Part],
    more: Mapping[str, Mapping[str, Part]],
    drawn: Mapping[str, str],
    folder: str,
) -> str:
    """The document. drawn: figure -> alternative text. folder: of the figures, as links have it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals["upper"] = upper
    page = environment.get_template("study.md.in").render(
        a=answers(parts),
        asked=list(ANSWERS),
        run=facts(parts),
        more={name: (facts(found), answers(found)) for name, found in more.items()},
        drawn=drawn,
        folder=folder,
    )
    return re.sub(r"\n{3,}", "\n\n", page)


def facts(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Of a run: machine, options and size, as words. Raises MtbenchError if there is no data."""
    if not parts:
        raise MtbenchError("no data of a study; run make study")
    first = next(iter(parts.values()))
    sessions = [s for part in parts.values() for s in part.manifest.sessions]
    failed: dict[str, int] = {}
    for name, part in parts.items():
        for record in part.results.failures:
            key = f"{name}: `{record.allocator}` in `{record.workload}` ({record.status})"
            failed[key] = failed.get(key, 0) + 1
    planned = sum(len(part.plan.cells) * part.plan.trials for part in parts.values())
    measured = sum(part.results.trials for part in parts.values())
    windows = sorted({part.plan.duration for part in parts.values()})
    trials = sorted({part.plan.trials for part in parts.values()})
    return {
        "machine": first.manifest.machine,
        "created": first.manifest.created[:10],
        "cores": first.plan.cores,
        "window": listed([f"{window:g} s" for window in windows]),
        "warmup": f"{first.plan.warmup:g} s",
        "trials": listed([str(count) for count in trials]),
        "range": f"{min(trials)} to {max(trials)}" if trials[1:] else str(trials[0]),
        "threads": counted(sorted({n for part in parts.values() for n in part.plan.threads})),
        "most": max(n for part in parts.values() for n in part.plan.threads),
        "planned": planned,
        "measured": measured,
        "complete": measured == planned,
        "small": max(windows) < 0.2 or max(trials) < 5,
        "took": duration(sum(entry.seconds for entry in sessions)),
        "failed": [f"{key}: {count}" for key, count in failed.items()],
        "idle": sum(
            data.ended - data.good
            for part in parts.values()
            for data in part.results.cells.values()
        ),
        "missing": [name for name in ANSWERS if name not in parts],
        "versions": listed(
            [
                f"{entry.label} {entry.version}"
                for entry in parts["peers"].manifest.allocators
                if entry.label != "hakmem"
            ]
        )
        if "peers" in parts
        else "",
        "warnings": [
            f"{fact.name}: {fact.found} ({fact.harm})"
            for fact in first.manifest.facts
            if fact.severity == "warning"
        ],
    }


def answer(place: Place) -> str:
    """What the study found, in two sentences."""
    found: str = registry.ladder(read_all(place.data)["ladder"])["answer"]
    return found


def page(place: Place) -> str:
    """The document as the kept data would have it."""
    parts = read_all(place.data)
    drawn = {name: drawing.description for name, drawing in figures.draw(parts).items()}
    return text(parts, others(place), drawn, place.figures.name)


def draw(place: Place) -> None:
    """The document's figures, from the kept data."""
    place.figures.mkdir(parents=True, exist_ok=True)
    for old in place.figures.glob("study-*.svg"):
        old.unlink()
    for name, drawing in figures.draw(read_all(place.data)).items():
        save(drawing, place.figures / f"{name}.svg")
