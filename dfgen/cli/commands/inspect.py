"""`dfgen inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.options import EXISTING_DIRECTORY, examples


@click.command(
    epilog=examples(
        "dfgen inspect runs/demo",
        "dfgen inspect runs/demo --source outcome --first 5",
        "dfgen inspect runs/demo 5f1c0e…-3",
        "dfgen inspect runs/demo --rejects",
    )
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.argument("row_id", required=False)
@click.option("--first", default=3, show_default=True, help="How many to show.")
@click.option(
    "--source",
    type=click.Choice(["repair", "correct", "outcome"]),
    default="repair",
    show_default=True,
    help="Which masks to show.",
)
@click.option("--rejects", is_flag=True, help="Show rejected rows instead, counted by reason.")
def command(run: Path, row_id: str | None, first: int, source: str, rejects: bool) -> None:
    """Look at single trajectories: wrong answer and repair, with the mask in colours.

    ROW_ID is a trajectory id, a prompt id, or the beginning of one.
    """
    from dfgen.report import terminal
    from dfgen.runners.session import open_finished

    opened = open_finished(run).run
    if rejects:
        terminal.print_rejects(opened, first)
    elif row_id is not None:
        terminal.print_row(opened, row_id)
    else:
        terminal.print_examples(opened, first, source)
