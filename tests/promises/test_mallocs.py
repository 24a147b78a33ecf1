"""The suite against mallocs that are known: the system's shows that the probes ask for the
possible, hakmem must keep all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mtbench.commands.verify import LINKED_PROBE, Report, probe_path
from tests.promises.conftest import FULL
from tools.exceptions import EXCEPTIONS

LIGHT = [
    "alignment",
    "refusal",
    "zero",
    "errno",
    "contents",
    "usable",
    "overlap",
    "extras",
    "cxx",
    "start",
    "hooks",
    "names",
]
HEAVY = [
    "back",
    "limits",
    "handover",
    "threadexit",
    "processexit",
    "fork",
    "signals",
    "loading",
    "exhaustion",
    "pressure",
    "sandbox",
    "peak",
    "rest",
    "threadcost",
    "growth",
]
JOBS = {"rest": 8, "sandbox": 6}
"""Area -> probes at a time, where they sleep more than they work."""


def broken(report: Report) -> dict[str, str]:
    return {v.promise.name: v.why for v in report.promises("broken")}


@pytest.mark.parametrize("area", [*LIGHT, *(HEAVY if FULL else ["signals", "loading"])])
def test_system_malloc_keeps_the_area_but_for_known_exceptions(
    area: str, check: Callable[..., Report]
) -> None:
    unexpected = broken(check("system", rf"^{area}\."))
    assert {k: v for k, v in unexpected.items() if k not in EXCEPTIONS["system"]} == {}


@pytest.mark.parametrize("area", [*LIGHT, *HEAVY])
def test_hakmem_keeps_the_area(area: str, check: Callable[..., Report]) -> None:
    assert broken(check("hakmem", rf"^{area}\.", jobs=JOBS.get(area, 1))) == {}


@pytest.mark.parametrize("area", [*LIGHT, *(HEAVY if FULL else ["exhaustion"])])
def test_hakmem_with_compiled_in_options_keeps_the_area(
    area: str, check: Callable[..., Report]
) -> None:
    assert broken(check("hakmem-fixed", rf"^{area}\.")) == {}


@pytest.mark.parametrize("area", [*LIGHT, *(HEAVY if FULL else ["loading", "fork"])])
def test_hakmem_linked_into_the_program_keeps_the_area(
    area: str, check: Callable[..., Report]
) -> None:
    assert broken(check("hakmem", rf"^{area}\.", probe=probe_path(LINKED_PROBE))) == {}


def test_the_linked_program_is_served_by_hakmem_without_a_preload(
    check: Callable[..., Report],
) -> None:
    report = check("system", r"^zero\.free-null$", probe=probe_path(LINKED_PROBE))
    (why,) = broken(report).values()
    assert why.startswith("not served: malloc comes from ")
    assert "libhakmem.so" in why


@pytest.mark.parametrize("area", [*LIGHT, *(HEAVY if FULL else [])])
def test_checked_mode_keeps_the_area_but_for_known_exceptions(
    area: str, check: Callable[..., Report]
) -> None:
    unexpected = broken(check("hakmem:check=1", rf"^{area}\."))
    assert {k: v for k, v in unexpected.items() if k not in EXCEPTIONS["hakmem:check=1"]} == {}
