"""What the arguments of the commands that measure mean: a request, or a run to go on with."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtbench.errors import UsageError
from mtbench.plan import jobs
from mtbench.plan.jobs import Job
from mtbench.plan.request import Request
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory


def request(args: argparse.Namespace, **instead: Any) -> Request:
    """What a command line asks for; `instead` of those of its options. Raises UsageError."""
    typed: dict[str, Any] = {
        entry.name: getattr(args, entry.name, entry.default) for entry in fields(Request)
    }
    return Request(**(typed | instead))


def resumed(args: argparse.Namespace) -> tuple[RunDirectory, Job]:
    """The run that --resume names, locked. Raises UsageError for what does not go with it."""
    refuse_options(args)
    run = RunDirectory.resume(Path(args.resume))
    try:
        if run.manifest.programs:
            raise UsageError(
                f"{run.path} holds runs of a program; go on with: mtbench exec --resume {run.path}"
            )
        # The hosts of a cluster are asked themselves; their client measures nothing.
        if run.manifest.hosts is None:
            conditions.check(run, conditions.here())
        return run, jobs.job_of(run.manifest.plan, run.manifest.allocators)
    except BaseException:
        run.close()
        raise


_GO_WITH_RESUME = {
    *("command", "handler", "version", "resume", "cluster"),
    *("json", "quiet", "verbose", "no_progress"),
}


def refuse_options(args: argparse.Namespace) -> None:
    """Raises UsageError for an option that --resume would not heed: the run has its own."""
    for name, value in vars(args).items():
        given = not (value is None or value is False or value == [])
        if name == "shell":
            given = value != "none"
        if given and name not in _GO_WITH_RESUME:
            option = name if name == "program" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--resume takes everything from the run; {option} does not go with it"
            )
