"""`dfgen stats`: prints the figures of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.options import EXISTING_RUN, examples


@click.command(epilog=examples("dfgen stats runs/demo", "dfgen stats runs/demo --json | jq .masks"))
@click.argument("run", type=EXISTING_RUN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: Path, as_json: bool) -> None:
    """Counts, pass rates, repairs, masks, and, on the demo, exactness against the known truth.

    `dfgen report` draws the same figures.
    """
    from dfgen.report.stats import collect_numbers
    from dfgen.report.stats_table import print_numbers
    from dfgen.store.finished import open_finished

    numbers = collect_numbers(open_finished(run))
    if as_json:
        click.echo(json.dumps(numbers))
    else:
        print_numbers(numbers)
        for sentence in numbers.get("left_out", ()):
            click.echo(sentence, err=True)
