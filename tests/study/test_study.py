"""The study says what its data say, whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocator import library
from mtbench.mallocs.ladder import REGISTRIES
from mtbench.plan.jobs import workload_specs
from plots import style
from plots.data import MISSING, Estimate
from plots.numbers import nanoseconds
from plots.paper import curves
from study import alt, analyse, builds, figures, lookups, marks, registry, render, store, words
from study.plan import (
    CASCADE,
    CONFIG_WORKLOADS,
    LADDER_WORKLOADS,
    LEAK,
    LOCKS,
    PEERS,
    SMALL_BUDGET,
    SPIN,
    TRAINED,
    Scale,
    full,
    locked_with,
    questions,
    quick,
    rung,
)
from tests.support.fabricated import fabricate

Gains = Mapping[str, float]


def kept(tmp_path: Path, name: str, *arguments: Any, **more: Any) -> store.Part:
    """A fabricated run, packed and read as the study does it."""
    fabricate(tmp_path / "runs" / name, *arguments, **more)
    store.keep(tmp_path / "runs", tmp_path / "data")
    return store.read(tmp_path / "data" / name)


def ladder(tmp_path: Path, gains: Callable[[int], Gains], **more: object) -> store.Part:
    """A ladder whose steps gain so much at each thread count."""

    def speed(label: str, workload: str, threads: int) -> float:
        gain = gains(threads)
        at = REGISTRIES.index(next(name for name in REGISTRIES if rung(name) == label))
        order = ("growth", "sharing", "no lock", "search")
        return 1e7 * float(np.prod([gain.get(step, 1.0) for step in order[:at]]))

    return kept(
        tmp_path,
        "ladder",
        speed,
        allocators=[rung(name) for name in REGISTRIES],
        workloads=LADDER_WORKLOADS,
        **{"threads": (1, 2, 8), **more},
    )


def test_a_planted_ladder_is_divided_among_its_steps_as_it_was_planted(tmp_path: Path) -> None:
    part = ladder(tmp_path, lambda _: {"sharing": 2.0, "no lock": 2.0, "search": 2.0})
    assert analyse.steps(part, analyse.STEPS["growth"], LADDER_WORKLOADS, (1, 2, 8)).verdict == (
        analyse.NONE
    )
    found = analyse.shares(part, LADDER_WORKLOADS, (1, 2, 8))
    assert found is not None
    assert found["growth"].low <= 0 <= found["growth"].high
    assert found["exclusion"].value == pytest.approx(2 / 3, abs=0.01)
    assert found["search"].value == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (
            lambda n: {"sharing": 1.0 if n == 1 else 3.0},
            "The predecessor was right: the benefit comes",
        ),
        (lambda n: {"sharing": 1.3 if n == 1 else 3.0}, "not that only threads gain"),
        (lambda n: {"sharing": 1.5}, "The predecessor was wrong: one thread gains as well"),
        (lambda n: {}, "No benefit above 5 % is seen with threads"),
    ],
)
def test_the_seed_is_judged_by_what_one_thread_and_many_gain(
    tmp_path: Path, gains: Callable[[int], Gains], said: str
) -> None:
    assert said in registry.ladder(ladder(tmp_path, gains))["only_threads"]


@pytest.mark.parametrize(
    ("growth", "said"),
    [(1.0, "by less than 5 %"), (1.5, "makes hakmem faster"), (0.6, "makes hakmem slower")],
)
def test_the_answer_follows_the_verdict_on_growth(tmp_path: Path, growth: float, said: str) -> None:
    assert said in registry.ladder(ladder(tmp_path, lambda _: {"growth": growth}))["answer"]


def test_what_threads_gain_only_beyond_the_cores_is_no_part_of_the_answer(tmp_path: Path) -> None:
    found = registry.ladder(ladder(tmp_path, lambda n: {"growth": 3.05 if n > 2 else 1.0}))
    assert "by less than 5 %" in found["answer"] and "at 1 and 2 threads" in found["answer"]
    assert "With more threads than cores, at 8 threads: growth: faster, 3.0" in found["finding"]
    assert "No benefit above 5 % is seen with threads" in found["only_threads"]
    assert (
        "which is oversubscription and not scaling, `prealloc-seqlock` is faster"
        in (found["only_threads"])
    )
    assert "| 8 (> cores) |" in found["steps"] and "| 2 |" in found["steps"]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ({"growth": 1.55, "search": 3.05}, "What pays more is taking the search away, 3.0"),
        ({"growth": 3.05, "search": 1.55}, "What also pays is taking the search away, 1.5"),
        ({"search": 1.55}, "What pays is taking the search away, 1.5"),
        ({"growth": 1.5}, "The other steps of the ladder show no gain there: "),
        ({}, "Nor do the other steps of the ladder show a gain there: "),
    ],
)
def test_the_answer_has_a_second_sentence_on_the_other_steps(
    tmp_path: Path, gains: Gains, said: str
) -> None:
    answer = registry.ladder(ladder(tmp_path, lambda _: gains))["answer"]
    assert said in answer
    assert len(answer.split(". ")) == 2


def test_a_ladder_without_a_rung_says_nothing_of_preallocating(tmp_path: Path) -> None:
    dead = tuple((rung("prealloc-locked"), block) for block in range(5))
    answer = registry.ladder(ladder(tmp_path, lambda _: {}, failing=dead))["answer"]
    assert answer.startswith("A rung has no number, so nothing is said of pre-allocating. The ")


def test_one_thread_alone_does_not_judge_the_seed(tmp_path: Path) -> None:
    said = registry.ladder(ladder(tmp_path, lambda _: {}, threads=(1,)))["only_threads"]
    assert said.startswith("These trials cannot tell") and said.endswith("were not measured.")


def test_a_count_that_is_missing_is_no_zero(tmp_path: Path) -> None:
    table = dict(registry.ladder(ladder(tmp_path, lambda _: {}))["costs"])["mid_gap"]
    rows = {line.split(" | ")[0]: line.split(" | ")[3:5] for line in table.splitlines()}
    assert rows["| `locked`"] == ["-", "-"] and rows["| `flat`"] == ["0", "0.0 %"]


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(1.5, 1.1, 1.9), "no difference seen between a and b by the rule, though the"),
        (Estimate(1.01, 1.005, 1.015), "no difference seen between a and b by the rule, as the"),
        (Estimate(1.5, 0.9, 1.9), "no difference seen between a and b, 1.50 x [0.90, 1.90]"),
    ],
)
def test_there_are_four_verdicts_and_no_fifth(estimate: Estimate, said: str) -> None:
    assert words.phrase(analyse.Ratio(estimate, analyse.NONE), "a", "b").startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([10.0, 11.0, 12.0, 11.0, 10.0], "a takes 11.0 ns [10.0, 12.0] longer than b"),
        ([-10.0, -11.0, -12.0, -11.0, -10.0], "a takes 11.0 ns [10.0, 12.0] less than b"),
        ([1.0, 1.0, 1.0, 1.0, 30.0], "no difference seen by the rule, though the bootstrap"),
        ([-1.0, 1.0, 1.0, 1.0, 1.0], "no difference seen between a and b"),
        ([10.0, 11.0], "too few trials to tell a from b"),
        ([np.nan], "a was not measured beside b"),
    ],
)
def test_a_time_is_called_longer_only_if_both_intervals_exclude_0(
    values: list[float], said: str
) -> None:
    assert words.longer(analyse.difference(np.array(values)), "a", "b").startswith(said)


def test_a_wide_interval_leaves_the_question_open(tmp_path: Path) -> None:
    found = registry.ladder(ladder(tmp_path, lambda _: {}, noise=0.8, trials=3))
    assert "leave room for one" in found["only_threads"]
    assert "can tell from noise" in found["answer"]


def test_one_trial_says_nothing(tmp_path: Path) -> None:
    answer = registry.ladder(ladder(tmp_path, lambda _: {"search": 3.0}, trials=1))["answer"]
    assert answer.startswith("Too few trials to say")


def test_a_gain_of_nothing_is_divided_among_nobody(tmp_path: Path) -> None:
    part = ladder(tmp_path, lambda _: {})
    assert analyse.shares(part, LADDER_WORKLOADS, (1, 2, 8)) is None
    assert "too small" in registry.ladder(part)["shares"]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([[1.2, 1.21, 1.19]] * 4, analyse.FASTER),
        ([[0.8, 0.81, 0.79]] * 4, analyse.SLOWER),
        ([[1.01, 1.011, 1.009]] * 4, analyse.NONE),
        ([[1.2, 1.9, 1.001]], analyse.NONE),
        ([[1.2]], analyse.FEW),
    ],
)
def test_a_pool_is_called_different_only_beyond_noise_and_chance(
    ratios: list[list[float]], verdict: str
) -> None:
    found = analyse.pooled(
        analyse.Ratio(MISSING, analyse.NONE, 1, tuple(entry)) for entry in ratios
    )
    assert found.verdict == verdict
    said = words.phrase(found, "this", "that")
    assert ("faster" in said, "slower" in said) == (
        verdict == analyse.FASTER,
        verdict == analyse.SLOWER,
    )


@pytest.mark.parametrize("scale", [full, quick])
def test_every_question_asks_for_cells_of_workloads_it_has(scale: Callable[[int], Scale]) -> None:
    built = library()
    for _, sweep in questions(scale(2), PEERS, built, built):
        cells = sweep.cells or ()
        labels = {getattr(entry, "label", entry) for entry in sweep.allocators or ()}
        assert {cell.allocator for cell in cells} == labels
        assert {cell.workload for cell in cells} == set(workload_specs(sweep.workloads or ()))
        assert {cell.threads for cell in cells} == set(sweep.threads or ())
        assert len(set(cells)) == len(cells) > 0


def everything(
    tmp_path: Path, failing: tuple[tuple[str, int], ...] = (), idle: str = ""
) -> dict[str, store.Part]:
    """Every question with small runs in which all mallocs are alike, but one may do nothing."""

    def plain(label: str, workload: str, threads: int) -> float:
        return 0.0 if label == idle else 1e7

    runs = tmp_path / "runs"
    rungs = [rung(name) for name in REGISTRIES]
    seed = [LEAK, CASCADE, "hakmem:route=cascade", rung("locked"), "hakmem", "system"]
    for name, allocators, workloads, threads in (
        ("seed", seed, ("mid_gap",), (1,)),
        ("ladder", rungs, LADDER_WORKLOADS, (1, 8)),
        ("chunks", rungs, ("held-16", "held-256"), (1,)),
        ("config", ["hakmem", "hakmem-fixed"], tuple(CONFIG_WORKLOADS), (1,)),
        ("pgo", ["plain", "pgo"], (TRAINED[0], "larson"), (1,)),
        ("locks", [locked_with(lock) for lock in LOCKS], ("mid_gap",), (1, 8)),
        ("peers", ["hakmem", *PEERS], ("mid_gap", "larson"), (1, 2)),
        ("crowd", ["hakmem", SPIN, SMALL_BUDGET, *PEERS], ("mid_gap", "mid_exchange"), (2, 8)),
    ):
        fabricate(
            runs / name, plain, allocators=allocators, workloads=workloads, threads=threads,
            trials=3, failing=failing,
        )  # fmt: skip
    store.keep(runs, tmp_path / "data")
    return store.read_all(tmp_path / "data")


def written(parts: Mapping[str, store.Part]) -> str:
    drawn = {name: drawing.description for name, drawing in figures.draw(parts).items()}
    return render.text(parts, {}, drawn, "figures")


def test_where_all_are_alike_no_sentence_claims_a_difference(tmp_path: Path) -> None:
    parts = everything(tmp_path)
    for name, answer in render.answers(parts).items():
        said = answer["finding"]
        assert "is faster than" not in said and "is slower than" not in said, name
        assert "what keeps" not in said and "hakmem is faster" not in said, name
    assert "**faster" not in written(parts)


def test_the_document_is_written_when_cells_failed_and_says_which(tmp_path: Path) -> None:
    dead = tuple(
        (label, block)
        for label in (LEAK, rung("locked"), "hakmem-fixed", "pgo", "tcmalloc", SPIN)
        for block in range(3)
    )
    page = written(everything(tmp_path, dead))
    assert f"seed: `{LEAK}` in `mid_gap` (crash): 3" in page
    assert "not measured" in page
    assert "Not measured: a rung has no number at the fewest or the most chunks." in page
    assert "nan" not in page


@pytest.mark.parametrize("idle", [rung("locked"), "hakmem", SPIN, "plain"])
def test_trials_without_an_operation_have_no_ratio_and_are_counted(
    tmp_path: Path, idle: str
) -> None:
    page = written(everything(tmp_path, idle=idle))
    assert "Trials that finished no operation in their window" in page
    assert ("hakmem has no number beside a peer's." in page) == (idle == "hakmem")
    assert "nan" not in page and "inf " not in page
    pool = analyse.pooled([analyse.Ratio(MISSING, analyse.NONE, 1, (1.2, 0.0, 1.2))])
    assert pool.estimate.value == pytest.approx(1.2)


def test_a_question_without_a_run_is_left_open(tmp_path: Path) -> None:
    parts = everything(tmp_path)
    for name in render.ANSWERS:
        page = written({key: part for key, part in parts.items() if key != name})
        assert "This question was not measured in this run." in page or name == "ladder"
        assert f"Not measured: {name}." in page


def test_chunks_are_said_to_matter_only_if_the_difference_to_flat_grows(tmp_path: Path) -> None:
    def speed(label: str, workload: str, threads: int) -> float:
        chunks = int(workload.removeprefix("held-"))
        return 1e9 / (10 if label == "hakmem" else 20 + grows * np.log2(chunks))

    names = [rung(name) for name in REGISTRIES]
    for grows, said in ((5.0, "It does"), (0.0, "No difference seen")):
        part = kept(
            tmp_path / str(grows), "chunks", speed, allocators=names,
            workloads=("held-16", "held-4096"), threads=(1,), noise=0.001,
        )  # fmt: skip
        assert lookups.chunks(part)["finding"].startswith(said)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (0.2469, "Up to 8 threads, what keeps more of its speed: the default over spin locks (4."),
        (4.0, "Up to 8 threads, what keeps less of its speed: the default over spin locks (0."),
        (1.0, "no difference is seen for any of the three"),
    ],
)
def test_what_goes_with_keeping_speed_in_a_crowd_is_named(
    tmp_path: Path, factor: float, said: str
) -> None:
    def speed(label: str, workload: str, threads: int) -> float:
        return 1e7 * (factor if label == SPIN and threads > 2 else 1)

    part = kept(
        tmp_path, "crowd", speed, allocators=["hakmem", SPIN, SMALL_BUDGET, "system", "tcmalloc"],
        workloads=("mid_gap", "mid_exchange"), threads=(2, 8),
    )  # fmt: skip
    assert said in builds.crowd(part)["finding"]


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (1.1, "on, and that is within or above the 6 to 13 %"),
        (1.03, "on, and that is less than the 6 to 13 %"),
    ],
)
def test_the_hope_for_profile_guidance_is_held_against_the_interval(
    tmp_path: Path, gain: float, said: str
) -> None:
    part = kept(
        tmp_path, "pgo", lambda label, *_: 1e7 * (gain if label == "pgo" else 1),
        allocators=["plain", "pgo"], workloads=(TRAINED[0], "larson"), threads=(1, 2),
    )  # fmt: skip
    assert said in builds.pgo(part)["finding"]


def test_an_alternative_text_ranks_nobody_where_all_are_equal() -> None:
    def line(label: str, value: float) -> curves.Series:
        point = Estimate(value, value, value)
        return marks.series(label, style.NULL, [1, 8], [point, point])

    def said(*values: float) -> str:
        lines = [line(label, value) for label, value in zip("ab", values, strict=False)]
        return alt.at_the_end([alt.Shown("free", lines, form=nanoseconds)])

    assert said(85.0, 85.0) == "At 8 threads: free 85 ns for all."
    assert said(85.0, 1200.0) == "At 8 threads: free 85 ns (a) to 1.2 µs (b)."
    assert said(float("nan")) == ""
