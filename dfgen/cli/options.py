"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline

F = TypeVar("F", bound=Callable[..., Any])

EXISTING_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


def examples(*lines: str) -> str:
    """An Examples block for a command's help; `\\b` keeps click from re-wrapping it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def pipeline_options(function: F) -> F:
    """PIPELINE and the switches of every command that works on a run."""
    decorators = [
        click.argument("pipeline", type=click.Path(dir_okay=False, path_type=Path)),
        click.option(
            "--out",
            "-o",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="Run directory: made if it is not there, continued if it is.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="A.B=VALUE",
            help="Override a field of the pipeline file. May be given often.",
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Use only the first N prompts."),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Show the first prompts as the model gets them, and what the run would cost.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, errors only."),
    ]
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def read_pipeline(path: Path, settings: tuple[str, ...], limit: int | None) -> Pipeline:
    """The effective pipeline: file, environment, `--set`, `--limit`."""
    from dfgen.config.load import load_pipeline

    pipeline = load_pipeline(path, settings)
    if limit is None:
        return pipeline
    section = "prompts" if pipeline.imports is None else "imports"
    return load_pipeline(path, (*settings, f"{section}.limit={limit}"))
