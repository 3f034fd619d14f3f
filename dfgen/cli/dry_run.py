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
    if as_json:
        outcome = {"prompts": found.prompts, "estimate": found.figures}
        click.echo(json.dumps(outcome, ensure_ascii=False))
        return
    for text in found.prompts:
        click.echo(text + "\n")
    for name, value in found.figures.items():
        click.echo(f"{name:<28} {value}")
