"""`dfgen inspect`: shows single answers of a run."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.options import EXISTING_DIRECTORY, examples

SOURCES = ("repair", "correct", "outcome")


@click.command(
    epilog=examples(
        "dfgen inspect runs/demo",
        "dfgen inspect runs/demo --wrong --first 5",
        "dfgen inspect runs/demo 5f1c0e…-3",
        "dfgen inspect runs/demo --source outcome",
        "dfgen inspect runs/demo --rejects",
    )
)
@click.argument("run", type=EXISTING_DIRECTORY)
@click.argument("row_id", required=False)
@click.option(
    "--first",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many to show; with --rejects, of each reason.",
)
@click.option("--wrong", is_flag=True, help="Show wrong answers, repaired or not.")
@click.option(
    "--source",
    type=click.Choice(SOURCES),
    help="Which masks to show.  [default: repair]",
)
@click.option("--rejects", is_flag=True, help="Show rejected rows instead, counted by reason.")
def command(
    run: Path, row_id: str | None, first: int, wrong: bool, source: str | None, rejects: bool
) -> None:
    """Look at single trajectories: wrong answer and repair, with the mask in colours.

    ROW_ID is a trajectory id, a prompt id, or the beginning of one. In a terminal the pictures are
    drawn too and $PAGER shows the rest; in a pipe or a file the marks are those of a word diff:
    [-wrong-]{+right+}.
    """
    if wrong and source is not None:
        raise click.UsageError("--wrong and --source exclude each other.")
    from dfgen.report import terminal
    from dfgen.report.stats import explain_gaps
    from dfgen.store.finished import open_finished

    opened = open_finished(run)
    if rejects:
        terminal.print_rejects(opened.run, first)
    elif row_id is not None:
        terminal.print_row(opened, row_id)
    else:
        sources = ("repair", "outcome") if wrong else (source or "repair",)
        terminal.print_examples(opened, first, sources, details=True)
    for sentence in explain_gaps(opened):
        click.echo(sentence, err=True)
