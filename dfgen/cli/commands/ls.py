"""`dfgen ls`: the runs beneath a folder."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_DIRECTORY, examples


@click.command(epilog=examples("dfgen ls runs", "dfgen ls runs --json | jq '.runs[].pass_rate'"))
@click.argument("folder", type=EXISTING_DIRECTORY, default=Path())
@json_option("Print JSON.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER and beneath it: state, size, rows, share of right answers, age.

    A damaged run is listed with what is wrong, and the others all the same.
    """
    from dfgen.status.lines import write_list
    from dfgen.status.listing import describe_run, find_runs
    from dfgen.store.os_errors import explain_os_errors

    with explain_os_errors(folder, "list"):
        runs = [describe_run(root) for root in find_runs(folder)]
    if as_json:
        print_outcome_json({"folder": str(folder), "runs": [each.to_json() for each in runs]})
    elif not runs:
        click.echo(f"there is no run in {folder} or beneath it", err=True)
    else:
        for line in write_list(runs):
            click.echo(line)
