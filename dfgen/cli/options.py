"""Options and blocks of help text that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from dfgen.cli.checks import add_no_check

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline

F = TypeVar("F", bound=Callable[..., Any])

EXISTING_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


def examples(*lines: str) -> str:
    """Write the Examples of a command's help; `\\b` keeps click from re-wrapping it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def list_tables() -> str:
    """List the tables of an export, a line each, as a block that click does not re-wrap."""
    from dfgen.export.tables import TABLES

    width = max(map(len, TABLES)) + 2
    lines = (f"    {name:<{width}}{table.description}" for name, table in TABLES.items())
    return "\b\n" + "\n".join(lines)


def pipeline_options(function: F) -> F:
    """Add PIPELINE and the switches of every command that works on a run."""
    decorators = [
        click.argument("pipeline", type=click.Path(dir_okay=False, path_type=Path)),
        click.option(
            "--out",
            "-o",
            callback=_require_out,
            type=click.Path(file_okay=False, path_type=Path),
            help="Run directory: made if it is not there, continued if it is. Needed unless with "
            "--dry-run.",
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
            is_eager=True,  # before --out, which it makes needless
            help="Show the first prompts as the model gets them, and what the run would cost.",
        ),
        add_no_check,
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, errors only."),
    ]
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def _require_out(
    context: click.Context, parameter: click.Parameter, value: Path | None
) -> Path | None:
    if value is None and not context.params.get("dry_run") and not context.resilient_parsing:
        raise click.MissingParameter(ctx=context, param=parameter)
    return value


def section_options(section: str, dry_run: str) -> Callable[[F], F]:
    """Add RUN and the switches of every command that does one section of a finished run anew.

    Args:
        section: of the pipeline file, which may be changed; all others must be the run's.
        dry_run: help text of `--dry-run`.
    """
    decorators = [
        click.argument("run", type=EXISTING_DIRECTORY),
        click.option(
            "--pipeline",
            type=click.Path(dir_okay=False, path_type=Path),
            help=f"Take the {section} section of this file; its other settings must be the run's.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar=f"{section.upper()}.B=VALUE",
            help=f"Change a field of the {section} section. May be given often.",
        ),
        click.option("--dry-run", is_flag=True, help=dry_run),
        add_no_check,
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, errors only."),
    ]

    def add(function: F) -> F:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return add


def spending_options(function: F) -> F:
    """Add `--max-cost` and `--max-requests`: words for two fields of the repair section.

    The command itself sees them as `settings`, like every other override.
    """

    @wraps(function)
    def command(
        *args: Any,
        settings: tuple[str, ...],
        max_cost: float | None,
        max_requests: int | None,
        **kwargs: Any,
    ) -> Any:
        limits = {"max_cost_usd": max_cost, "max_requests": max_requests}
        given = (f"repair.{name}={value}" for name, value in limits.items() if value is not None)
        return function(*args, settings=(*settings, *given), **kwargs)

    decorators = [
        click.option(
            "--max-cost",
            type=click.FloatRange(min=0),
            metavar="USD",
            help="Stop when the repairs of this run have cost this much (repair.max_cost_usd).",
        ),
        click.option(
            "--max-requests",
            type=click.IntRange(min=0),
            metavar="N",
            help="Stop after N requests of this run to the repairer (repair.max_requests).",
        ),
    ]
    decorated: Any = command
    for decorate in reversed(decorators):
        decorated = decorate(decorated)
    return cast("F", decorated)


def read_pipeline(path: Path, settings: tuple[str, ...], limit: int | None) -> Pipeline:
    """Read the effective pipeline: file, environment, `--set`, `--limit`."""
    from dfgen.config.load import load_pipeline

    pipeline = load_pipeline(path, settings)
    if limit is None:
        return pipeline
    section = {"imported": "imports", "pairs": "pairs"}.get(pipeline.kind, "prompts")
    return load_pipeline(path, (*settings, f"{section}.limit={limit}"))
