"""What a record holds is told by its type: all of it, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import workloads
from mtbench.__main__ import main
from mtbench.mallocs import allocators
from mtbench.plan.plan import Plan, Trial, grid
from mtbench.runs import schema
from mtbench.runs.record import encoded
from mtbench.trial.isolate import Limits, run_worker
from mtbench.trial.measure import Measurer


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Paths of a JSON value as `schema.fields` writes them."""
    if isinstance(value, dict) and value and "missing" not in value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path


def is_told(path: str, told: set[str]) -> bool:
    """A part that is null or empty stands for all below it."""
    return path in told or any(
        name.startswith((f"{path}.", f"{path}[]")) or path.startswith(f"{name}.") for name in told
    )


def test_every_field_says_what_it_holds() -> None:
    assert [path for path, words in schema.fields() if not words] == []


@pytest.mark.parametrize("label", ["system", "hakmem", "jemalloc"])
def test_nothing_that_a_worker_writes_is_lost(label: str) -> None:
    if label not in {entry.label for entry in allocators.installed()}:
        pytest.skip(f"{label} is not installed")
    spec = workloads.catalogue()["mid_exchange"].with_options(
        phases=[{"kind": "ramp", "seconds": 0.02}, {"kind": "steady", "seconds": 0.02}]
    )
    request = workloads.request(
        spec, threads=2, duration=0.05, warmup=0.0, seed=1, verify=True, latency_every=1
    )
    chosen = allocators.identify([allocators.resolve(label)])[0]
    raw = run_worker(request, chosen, Limits(120.0)).record
    told = {path for path, _ in schema.fields()}
    assert [path for path in leaves(raw) if not is_told(path, told)] == []


def test_a_record_on_the_disk_fits_the_schema_that_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert main(["list", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    plan = Plan(
        ("system",), ("mid_gap",), (2,), 1, 0.05, 0.0, 1, 2, grid(["system"], ["mid_gap"], [2])
    )
    chosen = allocators.identify([allocators.resolve("system")])[0]
    measurer = Measurer(plan, {"system": chosen}, workloads.catalogue())
    line = json.loads(encoded(measurer.record(Trial(0, 0, plan.cells[0]))))
    jsonschema.validate(line, printed)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line | {"threads": "two"}, printed)
