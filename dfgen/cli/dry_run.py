"""`--dry-run`: prints what a run would ask and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline


def rehearse(pipeline: Pipeline, *, as_json: bool, run: Path | None = None) -> None:
    """Print the first prompts and the estimate; no model or server is called.

    Args:
        pipeline: the effective settings.
        as_json: print JSON on stdout.
        run: a run directory; if its trajectories are there, the repairs are estimated from them.
    """
    from dfgen.stages.estimate import estimate_run

    found = estimate_run(pipeline, run)
    growth, lines = rehearse_growth(pipeline, run)
    if as_json:
        outcome = {"prompts": found.prompts, "estimate": found.figures, "growth": growth}
        click.echo(json.dumps(outcome, ensure_ascii=False))
        return
    for text in found.prompts:
        click.echo(text + "\n")
    for name, value in found.figures.items():
        click.echo(f"{name:<28} {value}")
    for line in lines:
        click.echo(line)


def rehearse_growth(
    pipeline: Pipeline, root: Path | None
) -> tuple[dict[str, int] | None, list[str]]:
    """Say what would become of the prompts of a run, which takes a reading of the whole source.

    Returns:
        How many prompts are new, missing, ..., and the same in lines; None where there is no run
        with prompts.

    Raises:
        RunMismatchError: the source has no prompt of the run.
    """
    from dfgen.stages.growth import describe_absent, preview
    from dfgen.store.run import Run

    config = pipeline.prompts or pipeline.imports
    if config is None or root is None or not (root / "run.json").exists():
        return None, []
    run = Run.open_or_create(root, pipeline)
    if not run.output("prompts").shards():
        return None, []
    found = preview(run, config)
    said = f"{found.new:,} new prompts would be added to the {found.there:,} that are there"
    return found.to_json(), [said, *describe_absent(run, found, config)]
