"""`dfgen export`: writes one table of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.options import EXISTING_DIRECTORY, examples, list_tables
from dfgen.export.tables import TABLES


@click.command(
    help=f"""Write a table that trainers load with `datasets.load_dataset`.

    {list_tables()}
    """,
    epilog=examples(
        "dfgen export runs/demo --to groups --out exported/groups",
        "dfgen export runs/demo --to preference --out exported/dpo",
    ),
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.option(
    "--to", "table", type=click.Choice(list(TABLES)), default=next(iter(TABLES)), show_default=True
)
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for train-00000-of-0000N.parquet and dfgen.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(run: Path, table: str, out: Path, as_json: bool) -> None:
    """Write one table of a run; the text of --help is made from the list of tables."""
    from dfgen.export.exporting import export_tables
    from dfgen.store.finished import open_finished

    manifest = export_tables(open_finished(run), [table], out, flat=True)
    if as_json:
        click.echo(json.dumps(manifest.model_dump(mode="json")))
        return
    written = manifest.tables[table]
    size = sum(file.size for file in written.files) / 1e6
    click.echo(
        f"{out}: {written.rows:,} rows with {written.trajectories:,} trajectories, {size:.1f} MB "
        f"in {len(written.files)} file{'s' if len(written.files) != 1 else ''}",
        err=True,
    )
