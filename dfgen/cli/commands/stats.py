"""`dfgen stats`: prints the figures of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.options import EXISTING_DIRECTORY, examples


@click.command(
    epilog=examples(
        "dfgen stats runs/demo",
        "dfgen stats runs/demo --json | jq .masks",
        "dfgen stats runs/a --cost",
    )
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.option("--cost", is_flag=True, help="What the repairs cost, by model, lane and reason.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: Path, cost: bool, as_json: bool) -> None:
    """Counts, pass rates, repairs, masks, and, on the demo, exactness against the known truth.

    `dfgen report` draws the same figures.
    """
    if cost:
        show_costs(run, as_json=as_json)
        return
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


def show_costs(root: Path, *, as_json: bool) -> None:
    """Print what repairing has cost; a run that is at work may be looked at, too."""
    from dfgen.report.costs import measure_costs
    from dfgen.report.stats_table import print_costs
    from dfgen.store.run import Run

    run = Run.open_or_create(root, None)
    costs = measure_costs(run)
    engine = (run.manifest.pipeline.get("repair") or {}).get("engine") or {}
    costs["prices"] = engine.get("price")
    if as_json:
        click.echo(json.dumps(costs))
    else:
        print_costs(costs)
