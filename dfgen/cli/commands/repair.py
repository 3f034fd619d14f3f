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
        "dfgen repair my.yaml --out runs/a --set repair.max_edit_ratio=0.3",
    ),
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
) -> None:
    """Repair the wrong answers of a run whose sampling is done.

    Every attempt is on disk when it is finished and is never paid for twice.
    """
    effective = read_pipeline(pipeline, settings, limit)
    if dry_run:
        rehearse(effective, as_json=as_json)
    else:
        work(effective, out, ("repair",), quiet=quiet, as_json=as_json)
