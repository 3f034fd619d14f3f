"""`dfgen stats`: prints the figures of a run."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_DIRECTORY, examples


@click.command(epilog=examples("dfgen stats runs/demo", "dfgen stats runs/demo --json | jq .masks"))
@click.argument("run", type=EXISTING_DIRECTORY)
@json_option("Print JSON.")
def command(run: Path, as_json: bool) -> None:
    """Counts, pass rates, repairs, masks, and, on the demo, exactness against the known truth.

    `dfgen report` draws the same figures.
    """
    from dfgen.report.stats import collect_numbers
    from dfgen.report.stats_table import print_numbers
    from dfgen.store.finished import open_finished

    numbers = collect_numbers(open_finished(run))
    if as_json:
        print_outcome_json(numbers)
    else:
        print_numbers(numbers)
        for sentence in numbers.get("left_out", ()):
            click.echo(sentence, err=True)
