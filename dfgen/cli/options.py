"""Options and blocks of help text that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import LocalPath, RunPath
from dfgen.cli.names import suggest
from dfgen.cli.sharing import add_sharing
from dfgen.errors import StorageError, guess_path

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.redo import Redo

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class RedoWish:
    """What `--redo` asks for; `agreed` if what was paid for may go."""

    wanted: tuple[Redo, ...]
    agreed: bool


EXISTING_DIRECTORY = LocalPath(exists=True, file_okay=False)
EXISTING_RUN = RunPath(exists=True, file_okay=False)
FILE = LocalPath(dir_okay=False)

curves_option = click.option(
    "--curves",
    type=LocalPath(exists=True, dir_okay=False),
    help="Parquet with curve, step and value, and chart if you like: learning curves of a study or "
    "a training, shown below the plots. Rows of one curve and step are seeds.",
)

SOURCE = "{PIPELINE|RUN}"
CHANGED_BY_FILE = (
    "With RUN: change the recorded settings as this file says, which may name a few fields only. "
    "What changes no row may differ; the rest is refused, by name, where there are rows already."
)


def examples(*lines: str) -> str:
    """Write the Examples of a command's help; `\\b` keeps click from re-wrapping it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def list_tables() -> str:
    """List the tables of an export, a line each, as a block that click does not re-wrap."""
    from dfgen.export.tables import TABLES

    width = max(map(len, TABLES)) + 2
    lines = (f"    {name:<{width}}{table.description}" for name, table in TABLES.items())
    return "\b\n" + "\n".join(lines)


def add_all(decorators: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    """Make one decorator of several, which stand in the help in this order."""

    def add(function: F) -> F:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return add


def pipeline_options(function: F) -> F:
    """Add `PIPELINE --out RUN` or RUN, and the switches of every command that works on a run.

    The command itself is given `pipeline`, the effective one, `out`, the run directory, and `redo`,
    instead of the options that say so. `out` is None only with `--dry-run`.
    """

    @wraps(function)
    def command(
        *args: Any,
        source: Path,
        out: Path | None,
        file: Path | None,
        settings: tuple[str, ...],
        limit: int | None,
        redone: tuple[str, ...],
        yes: bool,
        **kwargs: Any,
    ) -> Any:
        redo = read_order(redone, yes)
        root = choose_root(source, out, file, optional=bool(kwargs.get("dry_run")))
        pipeline = read_pipeline(source, settings, limit, file)
        if limit is not None and root is not None and not kwargs.get("quiet"):
            warn_of_limit(root, limit)
        if redo is not None and kwargs.get("dry_run"):
            as_json = bool(kwargs.get("as_json"))
            show_order(root or source, pipeline, redo, as_json=as_json)
            return None
        return function(*args, pipeline=pipeline, out=root, redo=redo, **kwargs)

    add = add_all(
        [
            click.argument("source", metavar=SOURCE, type=RunPath()),
            *run_options(
                "Read only the first N rows of the source. What the run has stays and is worked on."
            ),
            *redo_options(),
            click.option(
                "--dry-run",
                is_flag=True,
                help="Show the first prompts as the model gets them, and what the run would cost.",
            ),
            add_no_check,
            add_sharing,
            json_option("Print the outcome as JSON."),
            click.option("--quiet", "-q", is_flag=True, help="No progress, errors only."),
        ]
    )
    return cast("F", add(command))


def warn_of_limit(root: Path, limit: int) -> None:
    """Say so where a run has more prompts than `--limit` names: it takes none of them away.

    Raises:
        StorageError: the run cannot be read.
    """
    from dfgen.store.run import Run, is_run

    if not is_run(root):
        return
    prompts = Run.open_or_create(root, None).table("prompts")
    there = sum(map(prompts.num_rows, prompts.shards()))
    if there > limit:
        click.echo(
            f"Note: {root} has {there:,} prompts, and all of them are worked on: --limit {limit:,} "
            "takes none away. --max-requests and --max-cost bound what the repairer is asked; a "
            "smaller run is one of its own (--out).",
            err=True,
        )


def redo_options() -> list[Callable[[Any], Any]]:
    """List the options that have finished shards made anew; `read_order` reads them."""
    return [
        click.option(
            "--redo",
            "redone",
            multiple=True,
            metavar="STAGE[:SHARD,...]",
            help="Make a stage, or shards of it, anew, and what was made of them. May be given "
            "often. What was drawn or paid for goes to history/ in the run.",
        ),
        click.option(
            "--yes", is_flag=True, help="With --redo: also where that was paid for or drawn."
        ),
    ]


def read_order(redone: tuple[str, ...], yes: bool) -> RedoWish | None:
    """Read `--redo` and `--yes`; None if neither is given.

    Raises:
        ConfigError: there is no such stage, or the shards are no numbers.
        click.UsageError: --yes alone.
    """
    if not redone:
        if yes:
            raise click.UsageError("--yes is for --redo.")
        return None
    from dfgen.stages.redo import read_redo

    return RedoWish(tuple(map(read_redo, redone)), agreed=yes)


def show_order(root: Path, pipeline: Pipeline, redo: RedoWish, *, as_json: bool) -> None:
    """Print what `--redo` would set aside, or say why it would not; nothing is written."""
    from dfgen.stages.redo import check_source, describe, plan_redo
    from dfgen.store.run import Run

    run = Run.open_or_create(root, None)
    check_source(run, pipeline, redo.wanted)
    lines = describe(plan_redo(run, redo.wanted))
    if as_json:
        print_outcome_json({"run": str(root), "dry_run": True, "would_be_made_anew": lines})
        return
    for line in lines:
        click.echo(f"would be made anew: {line}")
    click.echo("Nothing was written.")


def run_options(limit: str) -> list[Callable[[Any], Any]]:
    """List the options that say which run is meant and with which settings.

    Args:
        limit: help text of `--limit`.
    """
    return [
        click.option(
            "--out",
            "-o",
            type=RunPath(file_okay=False),
            help="With PIPELINE: run directory, made if it is not there, continued if it is.",
        ),
        click.option("--pipeline", "file", type=FILE, metavar="FILE", help=CHANGED_BY_FILE),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="A.B=VALUE",
            help="Change a field of the pipeline. May be given often.",
        ),
        click.option("--limit", type=click.IntRange(min=1), help=limit),
    ]


def launch_arguments() -> list[Callable[[Any], Any]]:
    """List the arguments that name a run and its settings, for launchers and workers alike."""
    return [
        click.argument("source", metavar=SOURCE, type=RunPath()),
        *run_options("Use only the first N prompts."),
    ]


def choose_root(
    source: Path, out: Path | None, file: Path | None, *, optional: bool = False
) -> Path | None:
    """Choose the run directory of a command that takes `PIPELINE --out RUN` or RUN.

    Args:
        optional: whether none need be given.

    Raises:
        click.UsageError: the options do not fit.
        StorageError: a directory is given that is no run.
    """
    from dfgen.store.run import is_run

    if source.is_dir():
        if not is_run(source):
            raise StorageError(
                "this directory holds no run.",
                where=str(source),
                hint="Give a run directory, or PIPELINE --out RUN to begin one.",
            )
        if out is not None and out.resolve() != source.resolve():
            raise click.UsageError(
                f"{source} is a run and is worked on where it is: leave --out away."
            )
        return source
    if file is not None:
        raise click.UsageError("--pipeline changes the settings of a RUN; here the file is given.")
    if out is None and not optional:
        if not source.exists():
            raise click.UsageError(
                f"{source} is no run and no pipeline file: it is not there."
                + suggest(guess_path(source))
            )
        raise click.UsageError("PIPELINE needs --out RUN: the run directory.")
    return out


def section_options(section: str, dry_run: str, *, redo: bool = True) -> Callable[[F], F]:
    """Add RUN and the switches of every command that does one section of a finished run anew.

    Args:
        section: of the pipeline, which may be changed; others only in fields that change no row.
        dry_run: help text of `--dry-run`.
        redo: whether the command makes shards, which may then be made anew, and by many at once.
    """
    return add_all(
        [
            click.argument("run", type=EXISTING_RUN),
            click.option("--pipeline", type=FILE, metavar="FILE", help=CHANGED_BY_FILE),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="A.B=VALUE",
                help=f"Change a field, of the {section} section or one that changes no row.",
            ),
            *(redo_options() if redo else ()),
            click.option("--dry-run", is_flag=True, help=dry_run),
            add_no_check,
            *([add_sharing] if redo else ()),
            json_option("Print the outcome as JSON."),
            click.option("--quiet", "-q", is_flag=True, help="No progress, errors only."),
        ]
    )


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
    return cast("F", add_all(decorators)(command))


def lane_options(function: F) -> F:
    """Add `--lane`, `--write` and `--read`: how requests to the repairer travel.

    The command sees `--lane` as one of its `settings`, the others as `write` and `read`.
    """

    @wraps(function)
    def command(*args: Any, settings: tuple[str, ...], lane: str | None, **kwargs: Any) -> Any:
        if lane is None and (kwargs["write"] or kwargs["read"]):
            lane = "files"
        given = () if lane is None else (f"repair.engine.lane={lane}",)
        return function(*args, settings=(*settings, *given), **kwargs)

    decorators = [
        click.option(
            "--lane",
            type=click.Choice(["online", "batch", "files"]),
            help="How requests to the repairer travel (repair.engine.lane).",
        ),
        click.option(
            "--write",
            type=LocalPath(file_okay=False),
            metavar="DIR",
            help="Lane files: write the requests there, for somebody else to answer.",
        ),
        click.option(
            "--read",
            type=LocalPath(exists=True),
            multiple=True,
            metavar="PATH",
            help="Lane files: take the answers of this file or folder. May be given often.",
        ),
        click.option(
            "--resubmit",
            is_flag=True,
            help="Ask again what is out and nobody will hear of; it may be paid for twice.",
        ),
    ]
    return cast("F", add_all(decorators)(command))


def read_pipeline(
    path: Path, settings: tuple[str, ...], limit: int | None, file: Path | None = None
) -> Pipeline:
    """Read the effective pipeline: of a file, or the one that a run has recorded.

    Args:
        path: a pipeline file, or a run directory.
        settings: `a.b=value` strings, which beat DFGEN_SET_* variables, which beat both.
        limit: rows of the source; None: as the pipeline says.
        file: laid over the pipeline that a run has recorded.

    Raises:
        ConfigError: names the file and the field.
        StorageError: the run cannot be read.
    """
    from dfgen.config.load import load_pipeline
    from dfgen.store.run import Run, is_run

    def read(settings: tuple[str, ...]) -> Pipeline:
        if is_run(path):
            return Run.open_or_create(path, None).read_pipeline(settings, file)
        return load_pipeline(path, settings)

    pipeline = read(settings)
    if limit is None:
        return pipeline
    section = {"imported": "imports", "pairs": "pairs"}.get(pipeline.kind, "prompts")
    return read((*settings, f"{section}.limit={limit}"))
