"""`dfgen export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.options import EXISTING_DIRECTORY, examples

if TYPE_CHECKING:
    from dfgen.export.names import Config

CONFIGS = ("groups", "trajectories", "preference", "stepwise")


@click.command(
    epilog=examples(
        "dfgen export runs/demo --to groups --out exported/groups",
        "dfgen export runs/demo --to preference --out exported/dpo",
    )
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.option("--to", "config", type=click.Choice(CONFIGS), default="groups", show_default=True)
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for train-00000-of-0000N.parquet and dfgen.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(run: Path, config: Config, out: Path, as_json: bool) -> None:
    """Write a table that trainers load with `datasets.load_dataset`.

    \b
    groups        one row per prompt, its trajectories and masks nested: online and offline GRPO
    trajectories  one row per trajectory, flat, without pictures
    preference    repair (chosen) against wrong answer (rejected), for DPO
    stepwise      answers cut into steps with a label each, for process reward models
    """
    from dfgen.export.exporting import export_tables
    from dfgen.store.finished import open_finished

    manifest = export_tables(open_finished(run), [config], out, flat=True)
    if as_json:
        click.echo(json.dumps(manifest.model_dump(mode="json")))
        return
    table = manifest.tables[config]
    size = sum(file.size for file in table.files) / 1e6
    click.echo(
        f"{out}: {table.rows:,} rows with {table.trajectories:,} trajectories, {size:.1f} MB in "
        f"{len(table.files)} file{'s' if len(table.files) != 1 else ''}",
        err=True,
    )
