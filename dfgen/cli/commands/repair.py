"""`dfgen repair`: has the wrong answers of a run repaired."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.options import examples, pipeline_options, read_pipeline, spending_options
from dfgen.cli.run_command import work


@click.command(
    epilog=examples(
        "dfgen repair my.yaml --out runs/a",
        "dfgen repair my.yaml --out runs/a --dry-run",
        "dfgen repair my.yaml --out runs/a --max-cost 20",
        "dfgen repair my.yaml --out runs/a --set repair.protocol=hunks",
    ),
)
@spending_options
@pipeline_options
def command(
    pipeline: Path,
    out: Path,
    settings: tuple[str, ...],
    limit: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Repair the wrong answers of a run whose sampling is done.

    Every attempt is on disk when it is finished and is never paid for twice.
    """
    effective = read_pipeline(pipeline, settings, limit)
    if dry_run:
        # A run whose answers are not all there yet says what they cost, too.
        rehearse(effective, ("prompts", "sample", "repair"), as_json=as_json, run=out)
        return
    work(effective, out, ("repair",), quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        print_outcome(out)


def print_outcome(out: Path) -> None:
    """Print the table of what was accepted, refused and paid."""
    from dfgen.report.stats import measure_repairs
    from dfgen.report.stats_table import print_numbers
    from dfgen.store.finished import open_finished

    session = open_finished(out)
    if session.run.table("repairs").shards():
        print_numbers({"repairs": measure_repairs(session.run, session.tokenizer)})
