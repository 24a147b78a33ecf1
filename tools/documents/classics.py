"""How the installed allocators order on the classic patterns, beside what is published of them.

Every number in the text comes from the kept measurements.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from plots.pages.table import markdown_table
from tools.workload_costs import load, ranking

CLASSICS = (
    "larson",
    "larson_mid",
    "producer_consumer",
    "producer_consumer_sizes",
    "batch_steal",
    "generations",
    "sliding_window",
    "mid_exchange",
    "tiny_exchange",
)
THREADS = (2, 8)
ONLY_FREE = ":consumers=only_free"

_ORDER = """\
CPU nanoseconds per operation at 2 and at 8 threads on 2 processors, the cheapest first: medians of
{least} or more interleaved windows of 0.1 s on a machine without other work. Half of the
interquartile range is {typical:.0%} of the median in the middle cell and {worst:.0%} in the worst,
so neighbours in a row may change places. The peers are gperftools 2.10 (tcmalloc_minimal),
jemalloc 5.3.0, mimalloc 2.0.9, tbbmalloc 2.8 and glibc 2.36 (system); snmalloc is not installed."""

_CLAIMS = """\
- **tcmalloc is ahead on producer and consumer**: of the peers it is with 17 sizes, where 8 threads
  cost it {tc_pcs:.0f} ns, mimalloc {mi_pcs:.0f} ns and glibc {sys_pcs:.0f} ns. With one size it is
  not on a machine whose processors are free: {tc_pc:.0f} ns, mimalloc {mi_pc:.0f} ns, glibc
  {sys_pc:.0f} ns. Where other work took the processors, so that producer and consumer seldom ran
  side by side, it was ahead there too.
- **mimalloc falls behind where threads exceed processors and blocks are exchanged**: agrees in
  part. It is behind as soon as two threads run side by side: `mid_exchange` costs {mi_me2:.0f} ns
  with it and {tc_me2:.0f} ns with tcmalloc, `tiny_exchange` {mi_te2:.0f} and {tc_te2:.0f} ns. With
  8 threads these are {mi_me8:.0f} and {tc_me8:.0f}, {mi_te8:.0f} and {tc_te8:.0f} ns: it loses
  little more. `generations`, longer-lived, goes from {mi_g2:.0f} to {mi_g8:.0f} ns, with tcmalloc
  from {tc_g2:.0f} to {tc_g8:.0f} ns.
- **glibc is last above 1 KiB**, where its per-thread cache ends: agrees on `mid_exchange`,
  `producer_consumer_sizes` and `generations`, and at 2 threads on `larson_mid` and `batch_steal`.
  `sliding_window` does not agree: at 2 threads jemalloc is last there with {je_sw:.0f} ns to
  {sys_sw:.0f} ns, and on `batch_steal` the two are close. Both patterns free thousands of blocks of
  many classes at once and allocate them again; jemalloc's thread cache keeps at most 200 small and
  20 large blocks per class, so nearly every burst goes through the locks of its bins. A profile of
  `sliding_window` has its largest share in locking and unlocking mutexes, though each arena has one
  thread. Larger blocks in its thread cache (`MALLOC_CONF=lg_tcache_max:20`) take a tenth to a
  quarter off; keeping all dirty pages (`dirty_decay_ms:-1`) does nothing for it."""


def order() -> str:
    """A row per classic pattern and thread count: the allocators by what they cost."""
    costs = load()
    cells = [cost for cell, cost in costs.items() if cell[0] in CLASSICS and cell[1] in THREADS]
    spreads = [(cost.high - cost.low) / 2 / cost.median for cost in cells]
    text = _ORDER.format(
        least=min(cost.trials for cost in cells),
        typical=statistics.median(spreads),
        worst=max(spreads),
    )
    rows = [
        [
            f"`{workload}`",
            str(threads),
            ", ".join(
                f"{allocator} {cost:.1f}" for allocator, cost in ranking(costs, workload, threads)
            ),
        ]
        for workload in CLASSICS
        for threads in THREADS
    ]
    table = markdown_table(["workload", "threads", "order"], rows, align="l")
    return f"{text}\n\n{table}"


def _medians() -> Callable[..., float]:
    costs = load()

    def of(allocator: str, workload: str, threads: int = 8) -> float:
        return costs[workload, threads, allocator].median

    return of


def claims() -> str:
    """What is reported of the patterns, beside what was measured. Raises KeyError where a cell was
    not."""
    of = _medians()
    return _CLAIMS.format(
        tc_pc=of("tcmalloc", "producer_consumer"),
        mi_pc=of("mimalloc", "producer_consumer"),
        sys_pc=of("system", "producer_consumer"),
        tc_pcs=of("tcmalloc", "producer_consumer_sizes"),
        mi_pcs=of("mimalloc", "producer_consumer_sizes"),
        sys_pcs=of("system", "producer_consumer_sizes"),
        mi_me2=of("mimalloc", "mid_exchange", 2),
        mi_me8=of("mimalloc", "mid_exchange"),
        tc_me2=of("tcmalloc", "mid_exchange", 2),
        tc_me8=of("tcmalloc", "mid_exchange"),
        mi_g2=of("mimalloc", "generations", 2),
        mi_g8=of("mimalloc", "generations"),
        tc_g2=of("tcmalloc", "generations", 2),
        tc_g8=of("tcmalloc", "generations"),
        tc_te2=of("tcmalloc", "tiny_exchange", 2),
        tc_te8=of("tcmalloc", "tiny_exchange"),
        mi_te2=of("mimalloc", "tiny_exchange", 2),
        mi_te8=of("mimalloc", "tiny_exchange"),
        je_sw=of("jemalloc", "sliding_window", 2),
        sys_sw=of("system", "sliding_window", 2),
    )


def only_free() -> str:
    """A row per cell of producer and consumer: consumers that allocated once, or never."""
    of = _medians()
    header = ["workload", "threads", "allocator", "consumers allocated once", "consumers only free"]
    rows = [
        [
            f"`{workload}`",
            str(threads),
            allocator,
            f"{of(allocator, workload, threads):.1f} ns",
            f"{of(allocator, workload + ONLY_FREE, threads):.1f} ns",
        ]
        for workload in ("producer_consumer", "producer_consumer_sizes")
        for threads in THREADS
        for allocator in ("tcmalloc", "jemalloc", "mimalloc", "hakmem")
    ]
    return markdown_table(header, rows, align="l")
