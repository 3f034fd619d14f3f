"""`dfgen run`: runs all stages, or goes on with a run where it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.options import examples, pipeline_options, spending_options
from dfgen.cli.run_command import ALL_STAGES, work

if TYPE_CHECKING:
    from dfgen.cli.options import RedoWish
    from dfgen.config.pipeline import Pipeline


@click.command(
    epilog=examples(
        "dfgen run pipelines/demo.yaml --out runs/demo",
        "dfgen run my.yaml --out runs/try --limit 20 --set sample.num_samples=4",
        "dfgen run my.yaml --out runs/try --dry-run",
        "dfgen run my.yaml --out runs/a --max-cost 20",
    ),
)
@spending_options
@pipeline_options
def command(
    pipeline: Pipeline,
    out: Path,
    redo: RedoWish | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run all stages of a pipeline, or go on with a run.

    The same command continues an interrupted run: nothing that is on disk is computed again. Ctrl-C
    finishes what is in flight and stops; a second Ctrl-C stops at once.
    """
    if dry_run:
        rehearse(pipeline, ALL_STAGES, as_json=as_json, run=out)
    else:
        work(
            pipeline,
            out,
            ALL_STAGES,
            quiet=quiet,
            as_json=as_json,
            redo=redo,
        )
