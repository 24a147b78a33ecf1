"""The worker's side: one request in, one trial run in C, one dictionary out. No numpy here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from workloads.engine import EDGES, HEAD, MAGIC, PHASES, SCHEME, Header, ffi, lib

_EDGES = {number: edge for edge, number in EDGES.items()}
_PHASES = {number: kind for kind, number in PHASES.items()}


class RunError(RuntimeError):
    """A trial that could not be run; the message is one line."""


_at_edge: Callable[[str], None]


@ffi.def_extern(name="at_edge")  # type: ignore[untyped-decorator]
def _edge(edge: int) -> None:
    _at_edge(_EDGES[edge])


def execute(request: bytes, *, at_edge: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Runs the trial of `workloads.request` in this process and returns what was measured.

    `at_edge` is called with "opens" and "closes" at the edges of the timed window, while the
    threads run, to read counters that are to belong to the window; it should be quick.

    Sizes are bytes, times seconds unless the key says otherwise; a number that the machine refuses
    is {"missing": reason}. Raises workloads.running.RunError if the trial cannot be run at all (for
    want of threads or memory), and ValueError if the bytes are no request.
    """
    global _at_edge
    header, tables = _split(request)
    threads = header["threads"]
    keep: list[Any] = []  # cffi memory that the request points to
    asked = _request(header, tables, keep)
    result = ffi.new("struct wk_result *")
    arrays = {
        "per_thread": ffi.new("uint64_t[]", threads),
        "digests": ffi.new("uint64_t[]", threads),
        "malloc_counts": ffi.new("uint64_t[]", lib.WK_BUCKETS),
        "free_counts": ffi.new("uint64_t[]", lib.WK_BUCKETS),
        "samples": ffi.new("struct wk_sample[]", lib.WK_SAMPLES),
        "stages": ffi.new("struct wk_stage_memory[]", lib.WK_STAGES),
    }
    for name, array in arrays.items():
        setattr(result, name, array)
    if at_edge is not None:
        _at_edge = at_edge
        asked.at_edge = lib.at_edge
    if lib.wk_run(asked, result):
        raise RunError(_text(result.error))
    return _answer(header, result)


def _split(request: bytes) -> tuple[Header, memoryview]:
    if len(request) < HEAD.size:
        raise ValueError("not a workload request: too short")
    magic, length = HEAD.unpack_from(request)
    if magic != MAGIC:
        raise ValueError(f"not a workload request: starts with {magic!r}, not {MAGIC!r}")
    start = HEAD.size + length
    tables = memoryview(request)[start:]
    wanted = 4 * lib.WK_SIZES + lib.WK_CALLS + lib.WK_ALIGNMENTS
    if len(tables) != wanted:
        raise ValueError(f"not a workload request: {len(tables)} bytes of tables, not {wanted}")
    return json.loads(request[HEAD.size : start]), tables


def _request(header: Header, tables: memoryview, keep: list[Any]) -> Any:
    ends = (4 * lib.WK_SIZES, lib.WK_CALLS)
    asked = ffi.new("struct wk_request *")
    kernel = ffi.new("char[]", header["kernel"].encode())
    asked.kernel = kernel
    for name, value in header.items():
        if name not in ("kernel", "affinity", "parameters", "stages"):
            setattr(asked, name, value)
    asked.sizes = ffi.from_buffer("uint32_t[]", tables[: ends[0]])
    asked.calls = ffi.from_buffer("uint8_t[]", tables[ends[0] : ends[0] + ends[1]])
    asked.alignments = ffi.from_buffer("uint8_t[]", tables[ends[0] + ends[1] :])
    affinity = ffi.new("int32_t[]", header["affinity"])
    names = [ffi.new("char[]", name.encode()) for name in header["parameters"]]
    parameters = ffi.new(
        "struct wk_parameter[]", list(zip(names, header["parameters"].values(), strict=True))
    )
    stages = ffi.new("struct wk_stage[]", [tuple(stage) for stage in header["stages"]])
    asked.affinity, asked.affinity_count = affinity, len(affinity)
    asked.parameters, asked.parameter_count = parameters, len(names)
    asked.stages, asked.stage_count = stages, len(stages)
    keep += [tables, kernel, affinity, names, parameters, stages]
    return asked


def _text(array: Any) -> str:
    return str(ffi.string(array).decode(errors="replace"))


def _counted(counted: Any) -> int | dict[str, str]:
    reason = _text(counted.reason)
    return {"missing": reason} if reason else int(counted.value)


def _sparse(counts: Any, length: int) -> list[list[int]]:
    return [[place, counts[place]] for place in range(length) if counts[place]]


def _answer(header: Header, result: Any) -> dict[str, Any]:
    per_thread = list(result.per_thread[0 : header["threads"]])
    total, squares = sum(per_thread), sum(count * count for count in per_thread)
    latency = None
    if header["latency_every"]:
        latency = {
            name: {"scheme": SCHEME, "counts": _sparse(counts, lib.WK_BUCKETS)}
            for name, counts in (("malloc", result.malloc_counts), ("free", result.free_counts))
        }
    answer = {
        "operations": result.operations,
        "elapsed_s": result.elapsed,
        "threads": header["threads"],
        "progressed": result.progressed,
        "per_thread": per_thread,
        "fairness": {
            "min": min(per_thread),
            "max": max(per_thread),
            "jain": total * total / (len(per_thread) * squares) if squares else None,
        },
        "latency": latency,
        "latency_every": result.latency_every,
        "timing_cost_ns": result.timing_cost,
        "memory": _memory(result),
        "cpu": {
            "user_s": result.usage.user,
            "system_s": result.usage.system,
            "voluntary": int(result.usage.voluntary),
            "involuntary": int(result.usage.involuntary),
            "minor_faults": int(result.usage.minor_faults),
            "major_faults": int(result.usage.major_faults),
            "migrations": _counted(result.migrations),
            "run_delay_ns": _counted(result.run_delay),
        },
        "perf": {
            "cycles": _counted(result.cycles),
            "instructions": _counted(result.instructions),
            "cache_misses": _counted(result.cache_misses),
        },
        "futex_calls": _counted(result.futex_calls),
        "total_operations": result.total_operations,
        "failed_allocations": result.failed_allocations,
        "failed_successors": result.failed_successors,
        "lives": result.lives,
        "fallback_frees": result.fallback_frees,
        "verify": {"checked": result.checked, "violation": _violation(result.violation)},
    }
    if header["operation_limit"]:
        answer["digests"] = [f"{digest:016x}" for digest in result.digests[0 : header["threads"]]]
    return answer


def _memory(result: Any) -> dict[str, Any]:
    memory: dict[str, Any] = {
        "rss_before": result.resident_before,
        "rss_start": result.resident_start,
        "rss_peak": result.resident_peak,
        "rss_end": result.resident_end,
        "rss_drained": result.resident_drained,
        "virtual_peak": result.virtual_peak,
        "live_bytes_peak": result.live_peak,
        "live_bytes_mean": result.live_mean,
        "live_bytes_drained": result.live_drained,
        "samples": [
            [round(row.seconds, 4), row.resident, row.live]
            for row in result.samples[0 : result.sample_count]
        ],
    }
    if result.stage_count:
        memory["phases"] = [
            {
                "kind": _PHASES[row.kind],
                "start_s": row.start,
                "end_s": row.end,
                "rss_peak": row.resident_peak,
                "rss_end": row.resident_end,
                "live_bytes_peak": row.live_peak,
            }
            for row in result.stages[0 : min(result.stage_count, lib.WK_STAGES)]
        ]
    return memory


def _violation(violation: Any) -> dict[str, Any] | None:
    if not violation.found_one:
        return None
    return {
        "what": _text(violation.what),
        "thread": violation.thread,
        "operation": violation.operation,
        "address": f"{violation.address:#x}",
        "found": f"{violation.found:#x}",
        "expected": f"{violation.expected:#x}",
    }
