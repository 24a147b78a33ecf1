"""The study's questions and the cells that answer them, as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import workloads
from mtbench.mallocs.allocators import Allocator, peer
from mtbench.mallocs.ladder import LADDER, REGISTRIES
from mtbench.plan.plan import MOST_THREADS, Cell
from mtbench.plan.request import Request

HERE = Path(__file__).resolve().parent
PLAIN, PGO = "plain", "pgo"
LOCKS = ("futex", "spin", "mutex")
CASCADE = "hakmem:route=cascade,registry=locked"
LEAK = "hakmem:route=cascade-leak,registry=locked"
SMALL_BUDGET = "hakmem:budget=1M"
SPIN = "hakmem:lock=spin"
PEERS = ("system", "jemalloc", "tcmalloc", "mimalloc", "mimalloc-pypi", "tbbmalloc")
LADDER_WORKLOADS = ("mid_gap", "mid_exchange", "larson_mid", "registry_churn")
BLOCKS_A_CHUNK = 8
"""Of 8 KiB in a chunk of 64 KiB: see registry_held.toml."""

CONFIG_WORKLOADS = {
    "random_mixed": "16 B - 1 KiB",
    "mid_gap": "1 - 8 KiB",
    "mid_replace": "1 - 8 KiB",
    "larson_mid": "2 - 32 KiB",
    "large_mixed": "32 KiB - 1 MiB",
    "huge_mixed": "2 - 16 MiB",
}
TRAINED = ("mid_gap", "mid_replace", "random_mixed", "mid_exchange", "tiny_exchange")
"""What `make pgo-library` trains on."""
HELD_OUT = ("larson", "large_mixed", "sliding_window")


def rung(name: str) -> str:
    """The allocator label of a rung; flat is hakmem as it comes."""
    return next(step.label for step in LADDER if step.name == name)


def locked_with(lock: str) -> str:
    """The `locked` rung with one kind of lock."""
    return rung("locked") if lock == "futex" else f"hakmem:registry=locked,lock={lock}"


def held(chunks: int, threads: int) -> str:
    """Name of the workload in which so many threads together hold so many chunks."""
    return f"held-{chunks}" if threads == 1 else f"held-{chunks}-x{threads}"


class Question(NamedTuple):
    """One sweep, under the name that the study knows it by."""

    name: str
    sweep: Request


@dataclass(frozen=True)
class Scale:
    """How much is measured. threads: of the ladder. pair_trials: where a few per cent matter or
    a gain is divided; peer_trials: in the peers' matrix; trials: elsewhere."""

    duration: float
    warmup: float
    threads: tuple[int, ...]
    trials: int
    pair_trials: int
    peer_trials: int
    chunks: tuple[int, ...]
    chunk_threads: tuple[int, ...]
    pair_threads: tuple[int, ...]
    lock_threads: tuple[int, ...]
    lock_workloads: tuple[str, ...]
    pgo: tuple[str, ...]
    peer_workloads: tuple[str, ...]
    peer_threads: tuple[int, ...]
    crowds: tuple[int, ...]


def full(cores: int) -> Scale:
    """The study: about half an hour of measuring on two cores."""
    return Scale(
        duration=0.2,
        warmup=0.1,
        threads=(1, 2, 4, 8, 16, 32, 64),
        trials=5,
        pair_trials=7,
        peer_trials=3,
        chunks=(16, 256, 4096, 65536),
        chunk_threads=(1, 8),
        pair_threads=(1, 2),
        lock_threads=(1, 2, 8, 64),
        lock_workloads=("mid_gap", "mid_exchange"),
        pgo=TRAINED + HELD_OUT,
        peer_workloads=tuple(workloads.catalogue()),
        peer_threads=crowd(cores, 1, (8,)),
        crowds=crowd(cores, None, (4, 16, 32)),
    )


def quick(cores: int) -> Scale:
    """The same questions with few cells and short windows: shows that all of it works."""
    return Scale(
        duration=0.05,
        warmup=0.02,
        threads=crowd(cores, 1, (4,)),
        trials=3,
        pair_trials=3,
        peer_trials=3,
        chunks=(16, 4096),
        chunk_threads=(1,),
        pair_threads=(1,),
        lock_threads=(1, 8),
        lock_workloads=("mid_exchange",),
        pgo=(TRAINED[0], HELD_OUT[0]),
        peer_workloads=("mid_gap", "mid_exchange", "random_mixed", "large_mixed"),
        peer_threads=crowd(cores, None, (4,)),
        crowds=crowd(cores, None, (4,)),
    )


def crowd(cores: int, first: int | None, factors: Iterable[int]) -> tuple[int, ...]:
    """Thread counts: `first`, as many as cores, and so many times the cores."""
    counts = {cores, *(factor * cores for factor in factors)} | ({first} if first else set())
    return tuple(sorted(min(count, MOST_THREADS) for count in counts))


def questions(scale: Scale, peers: Sequence[str], pgo: Path, plain: Path) -> list[Question]:
    """Every sweep of the study. peers: labels installed here. pgo, plain: the two libraries;
    without them that question is left out."""
    named = workloads.catalogue() | {
        name: workloads.load(HERE / f"{name}.toml") for name in ("registry_churn", "registry_held")
    }

    def ask(
        name: str,
        cells: Iterable[tuple[str, str, int]],
        trials: int,
        latency_every: int = 0,
        libraries: Iterable[Allocator] = (),
        extra: dict[str, workloads.Workload] | None = None,
    ) -> Question:
        known = named | (extra or {})
        chosen = tuple(Cell(*cell) for cell in cells)
        files = {entry.label: entry for entry in libraries}
        labels = dict.fromkeys(cell.allocator for cell in chosen)
        used = dict.fromkeys(cell.workload for cell in chosen)
        sweep = Request(
            allocators=[files.get(label, label) for label in labels],
            workloads=[known[workload] for workload in used],
            threads=tuple({cell.threads for cell in chosen}),
            cells=chosen,
            trials=trials,
            duration=scale.duration,
            warmup=scale.warmup,
            latency_every=latency_every,
        )
        return Question(name, sweep)

    chunked = {
        held(chunks, threads): named["registry_held"].with_options(
            name=held(chunks, threads), slots=chunks * BLOCKS_A_CHUNK // threads
        )
        for chunks, threads in product(scale.chunks, scale.chunk_threads)
    }
    rungs = [rung(name) for name in REGISTRIES]
    seed = [LEAK, CASCADE, "hakmem:route=cascade", rung("locked"), "hakmem", "system"]
    asked = [
        ask("seed", product(seed, ["mid_gap"], [1]), scale.pair_trials, 256),
        ask("ladder", product(rungs, LADDER_WORKLOADS, scale.threads), scale.pair_trials, 256),
        ask(
            "chunks",
            (
                (label, held(chunks, threads), threads)
                for label, chunks, threads in product(rungs, scale.chunks, scale.chunk_threads)
            ),
            scale.trials,
            extra=chunked,
        ),
        ask(
            "config",
            product(["hakmem", "hakmem-fixed"], CONFIG_WORKLOADS, scale.pair_threads),
            scale.pair_trials,
        ),
        ask(
            "locks",
            product(map(locked_with, LOCKS), scale.lock_workloads, scale.lock_threads),
            scale.trials,
        ),
        ask(
            "peers",
            product(["hakmem", *peers], scale.peer_workloads, scale.peer_threads),
            scale.peer_trials,
        ),
        ask(
            "crowd",
            product(
                ["hakmem", SPIN, SMALL_BUDGET, *peers], ["mid_gap", "mid_exchange"], scale.crowds
            ),
            scale.trials,
        ),
    ]
    if pgo.is_file() and plain.is_file():
        both = [peer(PLAIN, str(plain)), peer(PGO, str(pgo))]
        pairs = product([PLAIN, PGO], scale.pgo, scale.pair_threads)
        asked.insert(4, ask("pgo", pairs, scale.pair_trials, libraries=both))
    return asked
