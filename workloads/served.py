"""Whether a trial's numbers are a throughput: only where its workload was served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def unserved(record: Mapping[str, Any]) -> str | None:
    """Tells why a record of `execute` is no throughput, in one line; None if it is one.

    A malloc that refuses is quick to do so, and what it was spared nobody can tell: one refused
    call is enough, whether the malloc, the machine or a limit of memory refused it.
    """
    refused, threads = record.get("failed_allocations", 0), record.get("failed_successors", 0)
    told = []
    if refused:
        of = record.get("total_operations") or refused
        told.append(f"malloc refused {refused} of {of} operations ({100 * refused / of:.3g} %)")
    if threads:
        plural = "" if threads == 1 else "s"
        told.append(f"{threads} thread{plural} could not be started for those that ended")
    return "; ".join(told) or None
