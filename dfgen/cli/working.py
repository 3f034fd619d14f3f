"""What `run`, `sample`, `repair`, `mask` and `import` have in common: open, lock, work, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.progress import make_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dfgen.config.pipeline import Pipeline
    from dfgen.store.layout import Stage

REJECTED_TOO_MUCH = 3
INTERRUPTED = 130


def work(
    pipeline: Pipeline, out: Path, stages: tuple[Stage, ...], *, quiet: bool, as_json: bool
) -> None:
    """Run stages and print what came of them; leaves by SystemExit when that is not success."""
    from dfgen.report.terminal import print_summary
    from dfgen.runners.local import run_stages
    from dfgen.runners.session import Session
    from dfgen.runners.stopping import StopSignal
    from dfgen.store.counts import counts
    from dfgen.store.run import Run

    def announce() -> None:
        click.echo(
            "\nStopping: what is in flight is finished first. Once more ends at once.", err=True
        )

    run = Run.open_or_create(out, pipeline)
    with run.lock(), make_progress(quiet) as progress:
        session = Session(run, pipeline, progress, StopSignal(announce))
        complete = run_stages(session, stages)
    if not complete:
        click.echo(
            f"Stopped. Everything finished is in {out}; the same command goes on from there.",
            err=True,
        )
        raise SystemExit(INTERRUPTED)
    numbers = counts(run)
    if as_json:
        click.echo(json.dumps({"run": str(out), "counts": numbers}))
    elif not quiet:
        print_summary(run, numbers)
    worst = find_excess(numbers, pipeline.max_reject_ratio)
    if worst:
        click.echo(f"Error: {worst}", err=True)
        raise SystemExit(REJECTED_TOO_MUCH)


def find_excess(counts: Mapping[Stage, dict[str, int]], limit: float) -> str | None:
    """The first stage that rejected more of its rows than allowed, in words."""
    for stage, numbers in counts.items():
        rows, rejects = numbers.get("input", 0), numbers.get("rejects", 0)
        if rows and rejects / rows > limit:
            return (
                f"the {stage} stage rejected {rejects:,} of {rows:,} rows, more than the "
                f"{limit:.0%} that max_reject_ratio allows."
            )
    return None
