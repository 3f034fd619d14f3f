"""`dfgen sample`."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.options import examples, pipeline_options, read_pipeline
from dfgen.cli.rehearsing import rehearse
from dfgen.cli.working import work


@click.command(
    epilog=examples(
        "dfgen sample my.yaml --out runs/a",
        "dfgen sample my.yaml --out runs/a --limit 100 --json",
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
    """Draw and grade the policy's answers: the first half of `dfgen run`.

    Token ids and logprobs are kept exactly as sampled. The same command continues.
    """
    effective = read_pipeline(pipeline, settings, limit)
    if dry_run:
        rehearse(effective, as_json=as_json)
    else:
        work(effective, out, ("prompts", "sample"), quiet=quiet, as_json=as_json)
