"""`dfgen migrate`: gives the files of an earlier dfgen the columns of today."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_RUN, examples


@click.command(epilog=examples("dfgen migrate runs/of-last-year"))
@click.argument("run", type=EXISTING_RUN)
@json_option("Print the outcome as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Bring the files of a run that an earlier dfgen wrote to today's columns.

    dfgen reads such a run as it is. This is for programs that read the files of several runs
    together, and for records of an older version. Rows say the same as before. Checksums that are
    missing are noted, so that `dfgen validate` finds any damage that comes later.
    """
    from dfgen.store.migrating import migrate_run, note_checksums
    from dfgen.store.run import Run

    opened = Run.open_or_create(run, None)
    with opened.lock():
        rewritten, noted = migrate_run(opened), note_checksums(opened)
    if as_json:
        print_outcome_json({"run": str(run), "rewritten": rewritten, "noted": noted})
        return
    if not rewritten and not noted:
        click.echo(f"{run}: up to date")
    for table, shards in rewritten.items():
        click.echo(f"{run}: {table}: {shards:,} files rewritten")
    if noted:
        click.echo(f"{run}: {noted:,} checksums noted in run.json")
