"""`dfgen export`: writes one table of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import LocalPath
from dfgen.cli.names import NamedChoice
from dfgen.cli.options import EXISTING_RUN, examples, list_tables
from dfgen.errors import ConfigError
from dfgen.export.tables import TABLES

_WHOLE = "whole"


@click.command(
    help=f"""Write a table that trainers load with `datasets.load_dataset`.

    {list_tables()}
    """,
    epilog=examples(
        "dfgen export runs/demo --to groups --out exported/groups",
        "dfgen export runs/demo --to examples --recipe df --out exported/df",
        "dfgen export runs/demo --to slime --choice positives=all --out exported/slime",
        "dfgen export runs/demo --to privileged --reveal 1 --out exported/privileged",
    ),
)
@click.argument("run", type=EXISTING_RUN)
@click.option(
    "--to", "table", type=NamedChoice(list(TABLES)), default=next(iter(TABLES)), show_default=True
)
@click.option(
    "--out",
    "-o",
    required=True,
    type=LocalPath(file_okay=False),
    help="Folder for train-00000-of-0000N.parquet and dfgen.json.",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="What is trained on: grpo, df, df+whole, ... (tables of examples).",
)
@click.option(
    "--choice",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change one choice of the recipe (failed=full). May be given often.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    help="At which the trainer divides logits (tables of examples).  [default: 1]",
)
@click.option(
    "--reveal",
    metavar="N",
    help="Show the repair up to its Nth edit, without the answer (privileged).  "
    f"[default: {_WHOLE}]",
)
@click.option(
    "--group-size",
    type=click.IntRange(min=2),
    help="Samples in a row (openrlhf).  [default: 8]",
)
@json_option("Print the manifest as JSON.")
def command(
    run: Path,
    table: str,
    out: Path,
    recipe: str | None,
    changes: tuple[str, ...],
    temperature: float | None,
    reveal: str | None,
    group_size: int | None,
    as_json: bool,
) -> None:
    """Write one table of a run; the text of --help is made from the list of tables."""
    from dfgen.export.choices import Choices, read_recipe
    from dfgen.export.exporting import export_tables
    from dfgen.sizes import write_size
    from dfgen.store.finished import open_finished

    choices = Choices(
        recipe=read_recipe(recipe, changes, TABLES[table]),
        temperature=temperature,
        reveal=None if reveal is None else _read_reveal(reveal),
        group_size=group_size,
    )
    finished = open_finished(run)
    manifest = export_tables(finished, [table], out, flat=True, choices=choices, say=_say)
    if as_json:
        print_outcome_json(manifest.model_dump(mode="json"))
        return
    written = manifest.tables[table]
    size = write_size(sum(file.size for file in written.files))
    click.echo(
        f"{out}: {written.rows:,} rows with {written.trajectories:,} trajectories, {size} "
        f"in {len(written.files)} file{'s' if len(written.files) != 1 else ''}",
        err=True,
    )
    usage = TABLES[table].usage.format(**written.choices)
    if usage:
        click.echo(f"to read it: {usage}", err=True)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _read_reveal(text: str) -> Any:
    from dfgen.export.choices import WHOLE

    if text == _WHOLE:
        return WHOLE
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--reveal {text!r}: it can be {_WHOLE}, or a number of edits from 1 on.")
    return int(text)
