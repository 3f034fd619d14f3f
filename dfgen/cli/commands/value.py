"""`dfgen value`: draws on from prefixes of wrong answers, to see which tokens were to blame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dfgen.cli.options import examples, read_order, section_options
from dfgen.cli.side_table import describe_masks, fill_table, print_estimate, print_json


@click.command(
    epilog=examples(
        "dfgen value runs/a --dry-run",
        "dfgen value runs/a --limit 400",
        "dfgen value runs/a --set value.draws=32 --set value.max_interval=.1",
        "dfgen value runs/a --set value.controls=false --set value.repaired=all",
        "dfgen value runs/a --mask strict=runs/b/masks --mask mine=masks.parquet",
    ),
)
@section_options("value", dry_run="Count what would be drawn and write nothing.")
@click.option("--limit", type=click.IntRange(min=1), help="Short for --set value.limit=N.")
@click.option(
    "--mask",
    "masks",
    metavar="NAME=PATH",
    multiple=True,
    help="Compare this mask, too: Parquet with trajectory_id and loss_mask. Repeatable; short for "
    "--set value.masks.NAME=PATH.",
)
@click.option("--no-masks", is_flag=True, help="Leave the masks as they are for now.")
def command(
    run: Path,
    pipeline: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    masks: tuple[str, ...],
    no_masks: bool,
    redone: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Have the policy draw on from where masked tokens begin and end, and grade what it says.

    The share of continuations that end right falls where an answer went wrong. How much of the fall
    the masks hold, beside other masks of the same size, says whether their tokens were to blame.
    Masks that are there are made anew with the values of their hunks. The same command continues
    after an interruption.
    """
    from dfgen.report.stats_table import print_numbers
    from dfgen.stages.session import Session
    from dfgen.stages.value.settings import choose_settings, estimate_values
    from dfgen.store.run import Run

    opened = Run.open_or_create(run, None)
    if limit is not None:
        settings = (*settings, f"value.limit={limit}")
    settings = (*settings, *map(_name_setting, masks))
    effective = choose_settings(opened, pipeline, settings)
    if dry_run:
        print_estimate(opened, estimate_values(Session(opened, effective)), as_json=as_json)
        return
    with_masks = not no_masks and bool(opened.table("masks").shards())
    redo = read_order(redone, yes)
    valued, counts = fill_table(run, effective, "value", redo, with_masks=with_masks, quiet=quiet)
    blame: dict[str, Any] | None = valued.manifest.get_stage("value").facts.get("blame")
    if as_json:
        print_json(valued, counts, with_masks=with_masks, blame=blame)
    elif not quiet:
        click.echo(f"{counts['output']:,} wrong answers valued, {counts['rejects']:,} rejects.")
        if blame is not None:
            print_numbers({"blame": blame})
        click.echo(describe_masks(valued, "values", with_masks=with_masks))


def _name_setting(mask: str) -> str:
    """Turn NAME=PATH into a setting. Raises `BadParameter`."""
    name, given, path = mask.partition("=")
    if not given or not name or not path or "." in name:
        raise click.BadParameter(
            f"{mask!r} is not NAME=PATH; a name has no dots.", param_hint="--mask"
        )
    # Quoted: what is typed is a path, whatever YAML would make of it.
    return f"value.masks.{name}={json.dumps(path)}"
