"""`dfgen repair`."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.options import examples, pipeline_options, read_pipeline
from dfgen.cli.rehearsing import rehearse
from dfgen.cli.working import work


@click.command(
    epilog=examples(
        "dfgen repair my.yaml --out runs/a",
        "dfgen repair my.yaml --out runs/a --dry-run",
        "dfgen repair my.yaml --out runs/a --max-cost 20",
        "dfgen repair my.yaml --out runs/a --set repair.protocol=hunks",
    ),
)
@click.option(
    "--max-cost",
    type=click.FloatRange(min=0),
    metavar="USD",
    help="Stop when the repairs of this run have cost this much (repair.max_cost_usd).",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=0),
    metavar="N",
    help="Stop after N requests of this run to the repairer (repair.max_requests).",
)
@pipeline_options
def command(
    pipeline: Path,
    out: Path,
    settings: tuple[str, ...],
    limit: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    max_cost: float | None,
    max_requests: int | None,
) -> None:
    """Repair the wrong answers of a run whose sampling is done.

    Every attempt is on disk when it is finished and is never paid for twice.
    """
    if max_cost is not None:
        settings = (*settings, f"repair.max_cost_usd={max_cost}")
    if max_requests is not None:
        settings = (*settings, f"repair.max_requests={max_requests}")
    effective = read_pipeline(pipeline, settings, limit)
    if dry_run:
        rehearse(effective, as_json=as_json, run=out)
        return
    work(effective, out, ("repair",), quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        print_outcome(out)


def print_outcome(out: Path) -> None:
    """The table of what was accepted, refused and paid."""
    from dfgen.report.figures import print_numbers
    from dfgen.report.repairs import measure_repairs
    from dfgen.runners.session import open_finished

    session = open_finished(out)
    if session.run.table("repairs").shards():
        print_numbers({"repairs": measure_repairs(session.run, session.tokenizer)})
