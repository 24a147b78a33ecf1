"""report.html: one file that works offline, of one run or of several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from plots import style
from plots.data import Program, ProgramCell, Run, UslFit, WorkloadInfo
from plots.drawings import catalogue, hosts
from plots.drawings.catalogue import Entry
from plots.numbers import digits, interval, tallied
from plots.pages import rows
from plots.paper import svg

TEMPLATES = Path(__file__).parent / "template"


@dataclass(frozen=True)
class Picture:
    """A figure in the page. only: "only-linear" or "only-log" if it is one of a pair."""

    name: str
    title: str
    svg: Markup
    only: str = ""


@dataclass(frozen=True)
class Part:
    """What a section shows of one workload."""

    info: WorkloadInfo
    pictures: tuple[Picture, ...]
    fits: tuple[UslFit, ...] = ()
    no_fit: str = ""


class Album:
    """Turns figures into inline SVG with ids and styles that do not collide."""

    def __init__(self) -> None:
        self.book = svg.Stylebook()
        self._count = 0

    def picture(self, name: str, title: str, figure: svg.Rendered, only: str = "") -> Picture:
        """Return the figure for the page; `name` becomes its id."""
        self._count += 1
        text = svg.inline(figure, f"f{self._count}", self.book)
        # Made above from numbers and escaped text, so it is safe to put in as it is.
        return Picture(name, title, Markup(text), only)

    def entry(self, run: Run, entry: Entry, of: str = "") -> Picture:
        """Return an entry of the run's catalogue; `of` names the run where there are several."""
        only = {"throughput": "only-linear", "throughput-log": "only-log"}
        kind = entry.name.removesuffix(f"-{entry.workload}")
        title = f"{entry.title}, {entry.workload}" if entry.workload else entry.title
        figure = catalogue.rendered(run, entry)
        if of:
            return self.picture(f"{entry.name}-{self._count}", f"{title}, {of}", figure)
        return self.picture(entry.name, title, figure, only.get(kind, ""))


def html(runs: Run | Sequence[Run]) -> str:
    """Return the whole page. Raises ValueError for no run, or a run without workloads."""
    several = [runs] if isinstance(runs, Run) else list(runs)
    if not several:
        raise ValueError("no run to report")
    empty = [run for run in several if not run.workloads or not run.threads]
    if empty:
        raise ValueError(f"run {empty[0].source or empty[0].title!r} has nothing to report")
    if len(several) > 1:
        return _several(several)
    return _programs(several[0]) if several[0].programs else _one(several[0])


@dataclass(frozen=True)
class ProgramPart:
    """A program's part of a page: table and figures."""

    program: Program
    columns: tuple[rows.Column, ...]
    rows: list[tuple[ProgramCell, tuple[rows.Value, ...]]]
    pictures: tuple[Picture, ...]


def _program_parts(run: Run, album: Album, of: str = "") -> list[ProgramPart]:
    drawn = [(e, album.entry(run, e, of)) for e in catalogue.entries(run) if e.present]
    return [
        ProgramPart(
            program,
            rows.program_columns(run, program),
            rows.program_rows(run, program),
            tuple(picture for entry, picture in drawn if entry.section == program.name),
        )
        for program in run.programs
    ]


def _suite_pictures(run: Run, album: Album, of: str = "") -> list[Picture]:
    return [
        album.entry(run, entry, of)
        for entry in catalogue.entries(run)
        if entry.present and entry.section == "suite"
    ]


def _programs(run: Run) -> str:
    album = Album()
    return _filled(
        "program.html.j2",
        album,
        [a.label for a in run.allocators],
        title=f"{run.title} · {run.host}",
        run=run,
        sections=[
            ("findings", "Findings"),
            ("program", "Program" if len(run.programs) == 1 else "Programs"),
            ("failures", f"Failures ({len(run.failures)})"),
            ("machine", "Machine"),
            ("method", "Method"),
            ("reproduce", "Reproduce"),
        ],
        warnings=[fact for fact in run.facts if fact.severity == "warning"],
        suite=_suite_pictures(run, album),
        parts=_program_parts(run, album),
        scales=False,
        failures=rows.failures(run),
        method=program_method(run),
    )


def _one(run: Run) -> str:
    album = Album()
    first = catalogue.main_workload(run)
    drawn = [(e, album.entry(run, e)) for e in catalogue.entries(run) if e.present]

    def parts(section: str) -> list[Part]:
        found = []
        for info in _ordered(run):
            pictures = tuple(
                picture
                for entry, picture in drawn
                if entry.section == section
                and entry.workload == info.name
                and not (info.name == first and entry.name.startswith("throughput"))
            )
            fits = [f for f in run.usl if f.workload == info.name] if section == "workload" else []
            reasons = dict.fromkeys(fit.reason for fit in fits if fit.reason)
            if pictures or section == "workload":
                found.append(
                    Part(
                        info,
                        pictures,
                        tuple(fit for fit in fits if not fit.reason),
                        "; ".join(reasons),
                    )
                )
        return found

    ladder = parts("ladder")
    sections = [
        ("findings", "Findings"),
        ("cells-heading", "Every cell"),
        ("workloads", "Workloads"),
        ("contention", "Contention"),
        ("latency", "Latency"),
        ("memory", "Memory"),
        *([("ladder", "Ladder")] if ladder else []),
        ("failures", f"Failures ({len(run.failures)})"),
        ("machine", "Machine"),
        ("method", "Method"),
        ("reproduce", "Reproduce"),
    ]
    return _filled(
        "report.html.j2",
        album,
        [a.label for a in run.allocators],
        title=f"{run.title} · {run.host}",
        run=run,
        sections=sections,
        workloads=_ordered(run),
        warnings=[fact for fact in run.facts if fact.severity == "warning"],
        main_pictures=[
            p for e, p in drawn if e.workload == first and e.name.startswith("throughput")
        ],
        overview=[p for e, p in drawn if e.section == "overview"],
        scales=any(e.name.startswith("throughput-log") for e, _ in drawn),
        columns=rows.columns(run),
        rows=rows.rows(run),
        by_workload=parts("workload"),
        by_contention=parts("contention"),
        by_latency=parts("latency"),
        by_memory=parts("memory"),
        by_ladder=ladder,
        locks=rows.locks(run),
        lock_count=len(run.locks),
        lock_columns=rows.LOCK_COLUMNS,
        failures=rows.failures(run),
        method=method(run),
        peak=rows.peak,
        interval=interval,
    )


_BESIDE = (
    ("contention", "Contention", "What threads wait for, run by run."),
    ("latency", "Latency", "Service time of sampled calls, run by run; the loop is closed."),
    ("memory", "Memory", "Peak, after the drain and over time, run by run."),
)
"""Sections of one run that several runs show one below the other: id, heading, introduction."""


def _beside(album: Album, runs: dict[str, Run], section: str) -> list[Part]:
    """Figures of one section, a part per workload, in each of them a figure of every run."""
    parts = []
    for name in hosts.shared_workloads(list(runs.values())):
        found = [
            (run, of, entry)
            for of, run in runs.items()
            for entry in catalogue.entries(run)
            if entry.present and (entry.section, entry.workload) == (section, name)
        ]
        found.sort(key=lambda one: one[2].title)  # of each kind, every run's in the runs' order
        if found:
            pictures = tuple(album.entry(run, entry, of) for run, of, entry in found)
            parts.append(Part(found[0][0].workload(name), pictures))
    return parts


def _several(runs: list[Run]) -> str:
    album = Album()
    names = hosts.names(runs)
    grids = {name: run for name, run in zip(names, runs, strict=True) if not run.programs}
    by_workload = []
    for name in hosts.shared_workloads(list(grids.values())):
        with_it = [run for run in grids.values() if any(i.name == name for i in run.workloads)]
        by_host = svg.rendered(hosts.by_host(with_it, name))
        by_allocator = svg.rendered(hosts.by_allocator(with_it, name))
        pictures = (
            album.picture(f"hosts-{name}", f"Each host, {name}", by_host),
            album.picture(f"allocators-{name}", f"Each allocator, {name}", by_allocator),
        )
        by_workload.append(Part(with_it[0].workload(name), pictures))
    cards = [
        {"name": name, "run": run, "failures": rows.failures(run)}
        for name, run in zip(names, runs, strict=True)
    ]
    ran = [
        {
            "name": name,
            "run": run,
            "suite": _suite_pictures(run, album, name),
            "parts": _program_parts(run, album, name),
        }
        for name, run in zip(names, runs, strict=True)
        if run.programs
    ]
    beside = [
        (key, heading, text, parts)
        for key, heading, text in _BESIDE
        if (parts := _beside(album, grids, key))
    ]
    return _filled(
        "runs.html.j2",
        album,
        list(dict.fromkeys(a.label for run in runs for a in run.allocators)),
        title=f"{len(runs)} runs side by side",
        sections=[
            ("findings", "Findings"),
            *([("program", "Programs")] if ran else []),
            *([("hosts", "Throughput"), ("cells-heading", "Every cell")] if grids else []),
            *((key, heading) for key, heading, _, _ in beside),
            ("machine", "What differs"),
            ("failures", "Failures"),
            ("reproduce", "Reproduce"),
        ],
        cards=cards,
        programs=ran,
        beside=beside,
        by_workload=by_workload,
        workloads=[part.info for part in by_workload],
        threads=sorted({n for run in grids.values() for n in run.threads}),
        scales=False,
        columns=[
            *rows.KEYS,
            rows.Column("Threads", "number of threads"),
            *(rows.Column(name, "throughput per second") for name in grids),
        ],
        rows=rows.rows_side_by_side(list(grids.values())),
        fact_rows=list(_facts(runs)),
    )


def _facts(runs: list[Run]) -> Iterable[dict[str, Any]]:
    own = [{"usable cores": str(run.cores), "processor and system": run.machine} for run in runs]
    found = [own[i] | {fact.name: fact.found for fact in run.facts} for i, run in enumerate(runs)]
    for name in dict.fromkeys(key for facts in found for key in facts):
        texts = [facts.get(name, "–") or "–" for facts in found]
        yield {"name": name, "found": texts, "differs": len(set(texts)) > 1}


def _ordered(run: Run) -> list[WorkloadInfo]:
    first = catalogue.main_workload(run)
    return sorted(run.workloads, key=lambda info: info.name != first)


def _filled(template: str, album: Album, labels: list[str], **context: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    looks = style.looks(labels)
    return environment.get_template(template).render(
        labels=labels,
        # A record may name an allocator that the run does not list; it has no colour of its own.
        colour=lambda label: f"var(--c{looks.get(label, style.NULL).colour[1:]})",
        short=style.short,
        tallied=tallied,
        css=Markup(_source("report.css")),
        script=Markup(_source("report.js")),
        figure_css=Markup(album.book.css()),
        light_colours=Markup(svg.variables(dark=False)),
        dark_colours=Markup(svg.variables(dark=True)),
        **context,
    )


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def program_method(run: Run) -> list[str]:
    """Return how the numbers of a program came about."""
    return [
        "The program is started anew for every run with the allocator preloaded; a run counts only "
        "if the library was seen mapped in the process and in every child that lived long enough "
        "to be seen. For the system's malloc, libc itself is preloaded, so that it also serves "
        "programs that link another malloc.",
        f"{run.trials_planned} runs per allocator, in rounds; inside a round all allocators run in "
        f"a random order from seed {run.seed}, so that drift hits everyone alike.",
        "CPU time, context switches and faults are Linux's counts for the process and the "
        "descendants that were waited for; peak memory is the largest sum of resident sets at one "
        "moment, looked at every 50 ms, or Linux's own high-water mark of one process where "
        "that is more. Pages shared between processes count once in each.",
        "A value is the median of its runs with a bootstrap 95 % interval. No outlier is dropped. "
        "A ratio is the median of paired ratios, one pair per round; a verdict is given only if "
        "its interval excludes 1, Student's for the mean log ratio excludes 0, and the effect "
        f"exceeds {digits(run.noise_threshold * 100)} %.",
        *([_TALLY] if any(program.tally for program in run.programs) else []),
    ]


_TALLY = (
    "How much of a program is its malloc's comes from one run more over the C library's, in which "
    "every call is counted and one in 64 timed, page faults inside the call included. What the "
    "malloc causes outside its calls is not in it: faults where a block is first touched, cache "
    "misses because of where blocks lie."
)


def method(run: Run) -> list[str]:
    """Return how the numbers came about, in sentences made from the run."""
    sentences = [
        "Every trial is a fresh process with the allocator preloaded; all take the same path "
        "through the process's own malloc and free, and each record proves which library served."
    ]
    window = f"a window of {digits(run.window_s)} s" if run.window_s == run.window_s else "a window"
    warm = f" after {digits(run.warmup_s)} s of warm-up" if run.warmup_s == run.warmup_s else ""
    trials = f"{run.trials_planned} trials per cell" if run.trials_planned else "Trials"
    sentences.append(
        f"{trials}, each {window}{warm}, in rounds; inside a round all cells run in a random order "
        f"from seed {run.seed}, so that drift hits everyone alike."
    )
    sentences.append(
        "A cell's value is the median of its trials with a bootstrap 95 % interval. No outlier is "
        "dropped. A ratio is the median of paired ratios, one pair per round; a difference is said "
        "only if its interval excludes 1, Student's for the mean log ratio excludes 0, and the "
        f"effect exceeds {digits(run.noise_threshold * 100)} %."
    )
    sentences.append(
        "The null allocator hands out addresses and frees nothing: what comes near it is limited "
        "by the kernel. Where blocks change threads an allocator can pass it."
    )
    sentences.append(
        f"More than {run.cores} threads share {run.cores} cores: that region is shaded and says "
        "what oversubscription costs, not how an allocator scales."
    )
    return sentences
