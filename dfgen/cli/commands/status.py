"""`dfgen status`: how far a run is, also while another process works on it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.options import EXISTING_RUN, examples


@click.command(
    epilog=examples(
        "dfgen status runs/demo",
        "dfgen status runs/demo --json | jq '.workers[0].seconds_left'",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: Path, as_json: bool) -> None:
    """How far a run is: rows of each stage, rate, time left, money, who works on it.

    Works while another process writes, and writes nothing itself. Rows after a + are answers of
    unfinished shards: on disk, and not counted yet.
    """
    from dfgen.status.lines import write_status
    from dfgen.status.run_status import measure_run

    status = measure_run(run)
    if as_json:
        click.echo(json.dumps(status.to_json()))
        return
    for line in write_status(status):
        click.echo(line)
