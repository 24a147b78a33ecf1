"""Writes docs/workloads.md from the code and the kept measurements:
`python -m tools.workload_document > docs/workloads.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from plots.pages.table import markdown_row
from tools.repository import DOCS
from tools.workload_classics import classics
from tools.workload_costs import load
from tools.workload_figures import FOLDER
from workloads.engine import CALLS, PHASES, TOUCHES
from workloads.kernels import KERNELS
from workloads.named import catalogue
from workloads.sizes import KINDS
from workloads.spec import Workload

_HEAD = """\
# Workloads

A workload says what every thread allocates, how, for how long it lives, and who frees it. The ones
below have a name; `mtbench list workloads --show NAME` prints any of them as a TOML file to start
from, and `mtbench sweep -w mine.toml` runs the result. This page is printed by
`python -m tools.workload_document`; a test compares the two.

An *operation* is one malloc, one free or one realloc, unless the unit says otherwise. Operations
are counted between two snapshots of the threads' counters, the timed window; what happens in
warm-up and drain is not counted.

## Catalogue
"""

_KERNELS = """\

## Kernels and their parameters

The kernel is the loop that a thread runs. `mixed` puts any lifetime together with any hand-off;
the others have one behaviour each.

The figures show how much work a second of CPU time does, against threads, with one panel for each
workload that uses the kernel. Both axes are logarithmic; shaded are more threads than the two
processors of the machine (Emerald Rapids, virtual). CPU time rather than time on the wall: what a
thread waits for a processor is not counted, what it spins and what the kernel does for it is. A
flat line is a malloc that more threads cost nothing; a wait that sleeps does not show. Each point
is the median of at least three interleaved trials.
`mixed` runs [data/mixed.toml](data/mixed.toml).

    only=consumers=only_free
    mtbench sweep -a system,hakmem,tcmalloc,jemalloc,mimalloc,tbbmalloc -t 1,2,4,8 -n 3 \\
        -w all,docs/data/mixed.toml,producer_consumer:$only,producer_consumer_sizes:$only \\
        --duration 0.1 --warmup 0.05 --latency-every 0 -o RUN
    python -m tools.workload_costs RUN > docs/data/workloads.csv
    python -m tools.workload_figures
"""

_AXES = """\

## What a workload can say

| key | values | default |
|---|---|---|
| `sizes` | a distribution of block sizes in bytes, see below | needed |
| `calls` | weights of {calls} | malloc only |
| `alignments` | weights of powers of two, in bytes, for aligned_alloc | 64 |
| `touch` | what is written into a new block: {touches} | first |
| `work` | rounds of arithmetic after each allocation, about 1 ns each | 0 |
| `life` | operations in a thread's life, then a successor takes over; 0: for ever | 0 |
| `phases` | list of `kind` ({phases}) and `seconds`, repeated until the window ends | steady |
| `unit` | what is counted: operations, threads (started), or the kernel's own | operations |
| `parameters` | the kernel's, see above | the kernel's |

A realloc makes a block of one drawn size and moves it to another: the larger last for
`realloc_grow`, the smaller for `realloc_shrink`. In a `ramp` phase threads allocate up to their
working set and wait; in a `drain` phase they free all they hold and wait. Memory is sampled every
10 ms in each.

Distributions of `sizes`, by `kind`, with the keys each needs:

| kind | keys |
|---|---|
"""

_TAIL = """\

A `histogram` is a text file of lines `size,count`, found from the TOML file's folder. A comma, a
semicolon, a tab or spaces part the two, names in the first line say which column is which, and what
follows `#` is left out. A size may be `4K`, `0x40` or a range, `[64, 128) 10` as tracers print it,
for which sixteen sizes spread evenly stand; size 0 counts as 1, which gets the same block. Every
distribution is sampled into a table of 65 536 sizes that the kernel walks, each thread in an order
of its own, so all cost the kernel the same.

## An example

```toml
{example}```

## What is checked

With `verify`, every word of a block holds a pattern of its owner, its address and its size, which
is compared when the block is freed, moved or handed over. Overlapping blocks, blocks given out
twice, writes that are lost, memory of calloc that is not zero and addresses that are not aligned
end the run and are reported with thread, operation, address, what was found and what was expected.
A malloc that returns NULL is counted, not fatal.

## What the harness costs

`libnull.so` is a malloc that does nothing; what a workload costs on it is the harness's own share,
two function calls included. `python -m tools.harness` measures it for each workload, sets it
beside the same loop without any call and with two calls of empty functions (where there is such a
loop), and prints how the harness scales up to the processors at hand and what sampling latencies
costs. `mid_replace` costs 1.1 ns an operation bare, 1.6 ns with two empty calls and 1.7 ns on
`libnull.so` (Emerald Rapids, 3 GHz): what separates the null malloc from the bare loop is the
calls, which any malloc has.

A ring shows its receiver eight blocks, a cache line, at a time. Shown one by one, what two threads
that run in step measure is the line's way between their cores: in `remote` a malloc that does
nothing made 37 M operations a second at 2 threads, and glibc, whose waits let blocks gather, 55 M.

Sampling reads the clock twice for one operation in 256, or in 512, 1024 and so on: the engine
measures what timing one operation costs here, and what an operation cost in the warm-up, and
doubles the distance until timing takes less than 1 % of the throughput. The record holds the
distance (`latency_every`) and the cost (`timing_cost_ns`). A distance below 256 is taken as it is,
and so is any where the threads ran for less than half a millisecond in the warm-up.
"""


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(markdown_row(row) + "\n" for row in rows)


def _differences(workload: Workload) -> str:
    """What the workload sets beyond kernel, sizes and defaults."""
    parts = [f"{name} {value}" for name, value in workload.parameters.items()]
    if workload.life:
        parts.append(f"life {workload.life}")
    if workload.work:
        parts.append(f"work {workload.work}")
    if dict(workload.calls) != {"malloc": 1.0}:
        parts.append("calls " + " + ".join(workload.calls))
    return ", ".join(parts) or "none"


def document() -> str:
    """The whole page, in Markdown."""
    named = catalogue()
    text = _HEAD + "\n| name | unit | what a thread does |\n|---|---|---|\n"
    text += _table((f"`{w.name}`", w.unit, w.description) for w in named.values())
    text += "\n| name | kernel | sizes | touch | settings |\n|---|---|---|---|---|\n"
    text += _table(
        (f"`{w.name}`", f"`{w.kernel}`", w.sizes.describe(), w.touch, _differences(w))
        for w in named.values()
    )
    text += _KERNELS
    for kernel in KERNELS.values():
        text += f"\n### `{kernel.name}`\n\n{kernel.description}. Counts {kernel.unit}.\n\n"
        figure = f"{FOLDER.relative_to(DOCS)}/{kernel.name}.svg"
        text += f"![{kernel.unit} a second of CPU time against threads]({figure})\n\n"
        text += "| parameter | default | allowed | unit | meaning |\n|---|---|---|---|---|\n"
        text += _table(
            (f"`{p.name}`", str(p.default), p.allowed(), p.unit or "-", p.description)
            for p in kernel.parameters
        )
    text += _AXES.format(
        calls=", ".join(CALLS), touches=", ".join(TOUCHES), phases=", ".join(PHASES)
    )
    text += _table(
        (f"`{kind}`", ", ".join(f"`{key}`" for key in keys)) for kind, keys in KINDS.items()
    )
    return text + _TAIL.format(example=named["aligned"].to_toml()) + classics(load())


if __name__ == "__main__":
    sys.stdout.write(document())
