"""`dfgen stats`: prints the figures of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_RUN, examples

if TYPE_CHECKING:
    from dfgen.store.run import Run


@click.command(
    epilog=examples(
        "dfgen stats runs/demo",
        "dfgen stats runs/demo --json | jq .masks",
        "dfgen stats runs/a --cost",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.option("--cost", is_flag=True, help="What the repairs cost, by model, lane and reason.")
@json_option("Print JSON.")
def command(run: Path, cost: bool, as_json: bool) -> None:
    """Counts, pass rates, repairs, masks, and, on the demo, exactness against the known truth.

    Damaged files are named, and the figures are those of the rest. `dfgen report` draws the same.
    """
    if cost:
        show_costs(run, as_json=as_json)
        return
    from dfgen.report.stats import collect_numbers
    from dfgen.report.stats_table import print_numbers
    from dfgen.store.finished import open_finished

    finished = open_finished(run)
    numbers = read_rest(
        finished.run, lambda readable: collect_numbers(replace(finished, run=readable))
    )
    if as_json:
        print_outcome_json(numbers)
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
    costs = read_rest(run, measure_costs)
    engine = (run.manifest.pipeline.get("repair") or {}).get("engine") or {}
    costs["prices"] = engine.get("price")
    if as_json:
        print_outcome_json(costs)
    else:
        print_costs(costs)


def read_rest(run: Run, read: Callable[[Run], dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a run without its damaged files, which are named."""
    from dfgen.store.visible_damage import describe_damage, read_around_damage
    from dfgen.terminal_text import show_line

    numbers, damage = read_around_damage(run, read)
    problem = describe_damage(run, damage)
    if problem is not None:
        numbers["problem"] = problem
        click.echo(show_line(f"damaged: {problem}"), err=True)
    return numbers
