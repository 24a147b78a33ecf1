"""`mtbench list`: what can be measured here, from the same tables that measuring uses."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from mtbench.base.table import bytes_, text_table
from mtbench.errors import Exit, UsageError

if TYPE_CHECKING:
    from mtbench.programs.entry import Entry
    from workloads import Workload


def command(args: argparse.Namespace) -> int:
    """`mtbench list`."""
    if args.name and args.what not in ("sizes", "workloads", "programs"):
        raise UsageError(f"list {args.what} takes no name; sizes, workloads and programs do")
    if args.show is not None:
        return _show(args)
    if args.what == "schema":
        from mtbench.runs.schema import document

        print(json.dumps(document(), indent=1))
        return Exit.FINE
    sections: dict[str, Any] = {}
    if args.what in (None, "allocators"):
        sections["allocators"] = _allocators()
    if args.what in (None, "workloads"):
        sections["workloads"] = _workloads(args.name)
    if args.what == "programs":
        sections["programs"] = _programs(args.name)
    if args.what == "options":
        sections["options"] = _options()
    if args.what == "sizes":
        sections["sizes"] = _sizes(args.name)
    if args.json:
        print(json.dumps(sections, indent=1))
        return Exit.FINE
    for position, (name, rows) in enumerate(sections.items()):
        if position:
            print()
        if rows:
            header = list(rows[0])
            print(
                text_table(
                    [name[:-1], *header[1:]],
                    [[row[key] for key in header] for row in rows],
                    align="l",
                )
            )
    return Exit.FINE


def _show(args: argparse.Namespace) -> int:
    """Print one workload or program as the TOML that `-w FILE.toml` or `-p FILE.toml` takes."""
    if args.what not in (None, "workloads", "programs") or args.name or args.json:
        raise UsageError(
            "--show prints one workload or program: mtbench list workloads --show NAME"
        )
    found: list[Workload | Entry]
    if args.what == "programs":
        from mtbench.commands.wanted import entries

        found = list(entries([args.show]))
    else:
        from mtbench.plan.jobs import workload_specs

        found = list(workload_specs([args.show]).values())
    if len(found) != 1:
        raise UsageError(f"--show prints one workload or program, '{args.show}' names {len(found)}")
    print(found[0].to_toml(), end="")
    return Exit.FINE


def _allocators() -> list[dict[str, str]]:
    from mtbench.mallocs import allocators

    return [
        {
            "name": entry.label,
            "kind": entry.kind,
            "version": entry.version or "-",
            "path": entry.path or "(libc)",
        }
        for entry in allocators.identify(allocators.installed())
    ]


def _workloads(name: str | None) -> list[dict[str, str]]:
    from mtbench.plan.jobs import workload_specs

    return [
        {"name": key, "unit": spec.unit, "description": spec.description}
        for key, spec in workload_specs([name or "all"]).items()
    ]


def _programs(name: str | None) -> list[dict[str, str]]:
    from mtbench.commands.wanted import entries

    return [
        {
            "name": entry.name,
            "threads": "any" if entry.program().threaded else "-",
            "here": entry.obstacle() or "yes",
            "description": entry.stands_for,
        }
        for entry in entries([name or "all"])
    ]


def _options() -> list[dict[str, str]]:
    from mtbench.mallocs import allocators

    return [
        {
            "name": option.name,
            "default": option.default,
            "values": option.allowed,
            "description": option.description,
        }
        for option in allocators.hakmem_options()
    ]


def _sizes(name: str | None) -> list[dict[str, str]]:
    """What each workload allocates: quantiles of its sampled sizes."""
    import numpy as np

    from mtbench.plan.jobs import workload_specs

    rows = []
    for key, spec in workload_specs([name or "all"]).items():
        quantiles = np.quantile(spec.sizes.sample(1), (0.0, 0.25, 0.5, 0.75, 1.0))
        labels = ("least", "25 %", "median", "75 %", "most")
        rows.append(
            {"name": key, "distribution": spec.sizes.describe()}
            | {label: bytes_(float(q)) for label, q in zip(labels, quantiles, strict=True)}
        )
    return rows
