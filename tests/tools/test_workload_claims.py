"""What docs/workloads.md says of the kept measurements is what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import workloads
from tools import workload_costs as costs
from tools.documents import workload_figures as figures

COSTS = costs.load()
PEERS = ("system", "tcmalloc", "jemalloc", "mimalloc", "tbbmalloc")


def order(workload: str, threads: int) -> list[str]:
    return [name for name, _ in costs.ranking(COSTS, workload, threads) if name in PEERS]


def cost(allocator: str, workload: str, threads: int) -> float:
    return COSTS[workload, threads, allocator].median


@pytest.mark.parametrize("threads", [2, 8])
def test_tcmalloc_leads_the_peers_on_producer_and_consumer_of_many_sizes(threads: int) -> None:
    peers = order("producer_consumer_sizes", threads)
    assert (peers[0], peers[-1]) == ("tcmalloc", "system")
    assert order("producer_consumer", threads)[0] != "tcmalloc"


@pytest.mark.parametrize("workload", ["mid_exchange", "tiny_exchange"])
def test_mimalloc_is_behind_as_soon_as_two_threads_exchange_blocks(workload: str) -> None:
    assert cost("mimalloc", workload, 2) > 2 * cost("tcmalloc", workload, 2)
    assert cost("mimalloc", workload, 8) < 1.2 * cost("mimalloc", workload, 2)


@pytest.mark.parametrize("threads", [2, 8])
@pytest.mark.parametrize("workload", ["mid_exchange", "producer_consumer_sizes", "generations"])
def test_glibc_is_last_above_a_kibibyte(workload: str, threads: int) -> None:
    assert order(workload, threads)[-1] == "system"


@pytest.mark.parametrize("workload", ["larson_mid", "batch_steal"])
def test_glibc_is_last_with_two_threads(workload: str) -> None:
    assert order(workload, 2)[-1] == "system"


def test_jemalloc_is_last_on_the_sliding_window() -> None:
    assert order("sliding_window", 2)[-1] == "jemalloc"


@pytest.mark.parametrize("allocator", ["tcmalloc", "jemalloc"])
def test_threads_that_only_free_cost_two_allocators_more(allocator: str) -> None:
    only = cost(allocator, "producer_consumer:consumers=only_free", 2)
    assert only > 1.4 * cost(allocator, "producer_consumer", 2)


def test_every_kernel_has_a_small_figure() -> None:
    drawn = {path.stem: path.stat().st_size for path in figures.FOLDER.glob("*.svg")}
    assert set(drawn) == set(workloads.KERNELS)
    assert sum(drawn.values()) < 600_000


def test_every_workload_of_the_catalogue_was_measured() -> None:
    for name in workloads.catalogue():
        for threads in (1, 2, 4, 8):
            assert set(order(name, threads)) == set(PEERS)


def test_figure_has_a_panel_for_each_workload_of_its_kernel(tmp_path: Path) -> None:
    path = tmp_path / "replace.svg"
    figures.draw_one("replace", COSTS, path)
    text = path.read_text(encoding="utf-8")
    for name in ("mid_replace", "larson", "larson_mid", "aligned", "tcmalloc", "hakmem"):
        assert f">{name}<" in text
    assert figures.workloads_of("mixed", COSTS) == ["mixed"]
