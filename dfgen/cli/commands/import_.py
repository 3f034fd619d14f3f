"""`dfgen import`: takes in and grades answers that other models gave."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.options import examples, pipeline_options, read_pipeline
from dfgen.cli.run_command import work
from dfgen.errors import ConfigError


@click.command(
    "import",
    epilog=examples(
        "dfgen import pipelines/mathv-repair.yaml --out runs/mathv",
        "dfgen repair pipelines/mathv-repair.yaml --out runs/mathv",
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
    """Take in existing answers of other models, graded, as a run that can be repaired.

    The pipeline file has an `imports` section instead of `prompts` and `policy`. Imported text has
    no sampled ids: it is encoded with the tokenizer you name, and its rows say so.
    """
    effective = read_pipeline(pipeline, settings, limit)
    if effective.imports is None:
        raise ConfigError(
            "there is no `imports` section, so there are no answers to take in.",
            where=str(pipeline),
            hint="`dfgen run` draws answers from a policy.",
        )
    if dry_run:
        # What taking the answers in costs is nothing; repairing them comes next.
        rehearse(effective, ("prompts", "repair"), as_json=as_json, run=out)
    else:
        work(effective, out, ("prompts",), quiet=quiet, as_json=as_json)
