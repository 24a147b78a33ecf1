"""What threads do: workload specs, their catalogue, and the C kernels that run them.

Specs, size sampling and histograms belong to the parent process (numpy); `execute` belongs to a
worker process and imports nothing heavy, so names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workloads.errors import SpecError
    from workloads.files import load, loads
    from workloads.kernels import KERNELS, Kernel, Parameter
    from workloads.latency import latency_percentile, merge_latency
    from workloads.message import request
    from workloads.named import catalogue
    from workloads.native import BUILD, bare_cost, kernel_names, latency_every, null_library
    from workloads.running import execute
    from workloads.served import unserved
    from workloads.sizes import Sizes
    from workloads.spec import Phase, Workload

__all__ = [
    "BUILD",
    "KERNELS",
    "Kernel",
    "Parameter",
    "Phase",
    "Sizes",
    "SpecError",
    "Workload",
    "bare_cost",
    "catalogue",
    "execute",
    "kernel_names",
    "latency_every",
    "latency_percentile",
    "load",
    "loads",
    "merge_latency",
    "null_library",
    "request",
    "unserved",
]

_HOMES = {
    "BUILD": "native",
    "KERNELS": "kernels",
    "Kernel": "kernels",
    "Parameter": "kernels",
    "Phase": "spec",
    "Sizes": "sizes",
    "SpecError": "errors",
    "Workload": "spec",
    "bare_cost": "native",
    "catalogue": "named",
    "execute": "running",
    "kernel_names": "native",
    "latency_every": "native",
    "latency_percentile": "latency",
    "load": "files",
    "loads": "files",
    "merge_latency": "latency",
    "null_library": "native",
    "request": "message",
    "unserved": "served",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workloads' has no attribute {name!r}")
    found = getattr(import_module(f"workloads.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
