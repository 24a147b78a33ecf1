"""The request for one trial: made in the parent, where numpy is, read in the worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workloads.engine import CALLS, HEAD, LOOPS, MAGIC, PHASES, TOUCHES, UNITS, Header, lib
from workloads.errors import number, one_of, refuse, whole
from workloads.kernels import KERNELS
from workloads.spec import Workload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGE_MEAN = 32768
"""Mean size in bytes above which a thread looks at the stop flag at each operation."""


def request(
    spec: Workload,
    *,
    threads: int,
    duration: float,
    warmup: float,
    seed: int,
    verify: bool = False,
    latency_every: int = 256,
    affinity: Sequence[int] | None = None,
    operation_limit: int = 0,
    loop: str = "malloc",
) -> bytes:
    """Returns the message of one trial, which `execute` takes: all of it sampled, self-contained.

    - `duration`, `warmup`: seconds
    - `seed`: of the sizes and of each thread's order
    - `verify`: whether every block is filled with a pattern and checked
    - `latency_every`: one operation in so many is timed, 0: none. From 256 up the engine doubles
      the number until timing costs less than 1 % of the throughput seen in the warm-up; the record
      says what it came to
    - `affinity`: processors by number, given to the threads in turn
    - `operation_limit`: operations after which a thread stops, 0: none
    - `loop`: "malloc", the process's; "bare", the kernel's loop alone with a moved pointer in place
      of malloc; "calls", that with two calls of empty functions. The latter two run on one thread
      and without latencies

    Raises SpecError, which names the parameter, if a value is not possible.
    """
    whole("threads", threads, 1, 65536)
    number("duration", duration, 0.001, 86400, "seconds")
    number("warmup", warmup, 0, 86400, "seconds")
    whole("seed", seed, 0, 2**63 - 1)
    whole("latency_every", latency_every, 0, 1 << 30)
    whole("operation_limit", operation_limit, 0, 1 << 60)
    if loop not in LOOPS:
        raise refuse("loop", loop, one_of(LOOPS))
    for processor in affinity or ():
        whole("affinity", processor, 0, 1023)
    sizes = spec.sizes.sample(seed)
    calls = _table({CALLS[name]: weight for name, weight in spec.calls.items()}, lib.WK_CALLS, seed)
    alignments = _table(
        {size.bit_length() - 1: weight for size, weight in spec.alignments.items()},
        lib.WK_ALIGNMENTS,
        seed + 1,
    )
    kernel = KERNELS[spec.kernel]
    chunk = 1 if float(sizes.mean()) > LARGE_MEAN else 256
    if spec.life:
        chunk = max(1, min(chunk, spec.life // 4))
    header: Header = {
        "kernel": spec.kernel,
        "threads": threads,
        "duration": float(duration),
        "warmup": float(warmup),
        "seed": seed,
        "verify": bool(verify),
        "loop": LOOPS[loop],
        "latency_every": latency_every,
        "chunk": chunk,
        "operation_limit": operation_limit,
        "life": spec.life,
        "work": spec.work,
        "touch": TOUCHES[spec.touch],
        "plain": set(calls.tolist()) == {lib.WK_MALLOC},
        "unit": UNITS[{"operations": "operations", "threads": "lives"}.get(spec.unit, "own")],
        "affinity": list(affinity or ()),
        "parameters": {
            item.name: item.native(spec.parameters[item.name]) for item in kernel.parameters
        },
        "stages": [(PHASES[phase.kind], phase.seconds) for phase in spec.phases],
    }
    text = json.dumps(header).encode()
    tables = sizes.astype("<u4").tobytes() + calls.tobytes() + alignments.tobytes()
    return HEAD.pack(MAGIC, len(text)) + text + tables


def _table(weights: dict[int, float], length: int, seed: int) -> npt.NDArray[np.uint8]:
    """`length` entries in exact proportion to the weights (largest remainders), shuffled."""
    import numpy as np

    share = np.array(list(weights.values()), dtype=np.float64)
    if not share.sum() > 0:
        raise refuse("weights", weights, "above 0 for at least one")
    exact = share / share.sum() * length
    counts = np.floor(exact).astype(np.int64)
    for place in np.argsort(counts - exact, kind="stable")[: length - int(counts.sum())]:
        counts[place] += 1
    table = np.repeat(np.array(list(weights), dtype=np.uint8), counts)
    return np.random.default_rng([seed & (2**64 - 1), length]).permutation(table)
