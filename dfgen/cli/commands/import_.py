"""`dfgen import`: takes in and grades answers that other models gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.options import examples, pipeline_options
from dfgen.cli.run_command import work
from dfgen.errors import ConfigError

if TYPE_CHECKING:
    from dfgen.cli.options import RedoWish
    from dfgen.config.pipeline import Pipeline


@click.command(
    "import",
    epilog=examples(
        "dfgen import pipelines/mathv-repair.yaml --out runs/mathv",
        "dfgen repair pipelines/mathv-repair.yaml --out runs/mathv",
    ),
)
@pipeline_options
def command(
    pipeline: Pipeline,
    out: Path,
    redo: RedoWish | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take in existing answers of other models, graded, as a run that can be repaired.

    The pipeline file has an `imports` section instead of `prompts` and `policy`. Imported text has
    no sampled ids: it is encoded with the tokenizer you name, and its rows say so.
    """
    if pipeline.imports is None:
        raise ConfigError(
            "there is no `imports` section, so there are no answers to take in.",
            hint="`dfgen run` draws answers from a policy.",
        )
    if dry_run:
        # Taking the answers in costs nothing; repairing them, which comes next, does.
        rehearse(pipeline, ("prompts", "repair"), as_json=as_json, run=out)
    else:
        work(pipeline, out, ("prompts",), quiet=quiet, as_json=as_json, redo=redo)
